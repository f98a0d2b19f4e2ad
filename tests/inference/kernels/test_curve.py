"""The cost curve tells what was measured."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from inference.bench.gpu.curve import PUBLISHED, crossover, dollars, draw, read


def test_the_published_curves_cross_where_the_paper_says() -> None:
    prefill, decode = (crossover(PUBLISHED[phase]["dense"], PUBLISHED[phase]["sparse"]) for phase in PUBLISHED)
    assert prefill is not None and 8 < prefill < 12
    assert decode is not None and 2 < decode < 6


def test_curves_that_never_cross_have_no_crossover() -> None:
    assert crossover({2: 1.0, 8: 2.0}, {2: 2.0, 8: 3.0}) is None
    assert crossover({2: 2.0, 8: 3.0}, {2: 1.0, 8: 1.0}) == 2


def test_an_hour_of_a_card_costs_two_dollars() -> None:
    assert dollars(3600 / 1e6 / 61) == pytest.approx(2.0)


def test_the_picture_shows_every_measured_point(tmp_path: Path) -> None:
    seconds = {"2048": 3e-6, "131072": 2e-5}
    layer = {phase: {"dense": seconds, "sparse": seconds} for phase in ("prefill", "decode")}
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps({"about": {"card": "Some <card>"}, "layer": layer}))
    costs, card = read(figures)
    assert card == "Some <card>"
    assert costs["decode"]["dense"] == {2: dollars(3e-6), 128: dollars(2e-5)}
    picture = ET.fromstring(draw(costs, card))
    assert len(picture.findall("{http://www.w3.org/2000/svg}circle")) == 8
