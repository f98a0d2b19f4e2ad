"""Presentations, by python-pptx and by LibreOffice."""

from pathlib import Path

import pytest

from tests.uploads.parsers.reading import OFFICE, block_with, blocks_of, read, renamed_main_part
from uploads.document import Progress, Started, Unparsable


def test_shapes_are_counted_in_reading_order_on_their_slide(written: Path) -> None:
    blocks = blocks_of(written / "deck.pptx")
    assert [(block.text, block.place) for block in blocks if "slide 2" in block.text] == [
        ("Title of slide 2", {"kind": "slide", "slide": 2, "shape": 1}),
        ("High on slide 2", {"kind": "slide", "slide": 2, "shape": 2}),
        ("Low on slide 2", {"kind": "slide", "slide": 2, "shape": 3}),
        ("Said on slide 2", {"kind": "slide", "slide": 2, "shape": 0}),
    ]
    assert block_with("Low on slide 3", blocks).headings == ("Title of slide 3",)


def test_tables_and_the_numbers_behind_charts_are_read(written: Path) -> None:
    table, chart = [block for block in blocks_of(written / "deck.pptx") if block.kind == "table"]
    assert table.text == "Mole\tLength\nNorth\t410 m"
    assert chart.text == "\tShips\n2023\t1200\n2024\t1350.5"
    assert chart.place == {"kind": "slide", "slide": 4, "shape": 2}


def test_libreoffice_writes_the_same(saved: Path) -> None:
    blocks = blocks_of(saved / "deck.pptx")
    assert block_with("Low on slide 2", blocks).place == {"kind": "slide", "slide": 2, "shape": 3}
    assert block_with("Low on slide 2", blocks).headings == ("Title of slide 2",)
    assert block_with("Said on slide 3", blocks).place == {"kind": "slide", "slide": 3, "shape": 0}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml",
        "application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml",
        f"{OFFICE}.presentationml.slideshow.main+xml",
        f"{OFFICE}.presentationml.template.main+xml",
    ],
)
def test_macros_shows_and_templates_read_as_presentations(written: Path, tmp_path: Path, content_type: str) -> None:
    path = renamed_main_part(written / "deck.pptx", tmp_path / "a.pptx", content_type)
    assert blocks_of(path) == blocks_of(written / "deck.pptx")


def test_slides_are_the_unit(written: Path) -> None:
    events = read(written / "deck.pptx")
    assert events[0] == Started("slide", 4)
    assert [event.done for event in events if isinstance(event, Progress)] == [1, 2, 3, 4]
    with pytest.raises(Unparsable, match="too_many_pages"):
        read(written / "deck.pptx", max_pages=3)
