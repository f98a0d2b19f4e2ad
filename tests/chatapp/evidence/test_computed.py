"""The cells of a result in words, and where the panel opens."""

import pytest

from chatapp.evidence.checking import compare
from chatapp.evidence.computed import MOST_AREAS_SHOWN, bounding_place, cells_words
from chatapp.evidence.models import Evidence, Excerpt
from uploads.computing.answer import Area


def cells(sheet: str, *ranges: str) -> list[Area]:
    return [{"kind": "cells", "sheet": sheet, "range": each} for each in ranges]


def test_cells_are_named_as_formulas_name_them() -> None:
    assert cells_words([*cells("Costs", "B4:C4", "B7"), *cells("People", "A2:B4")]) == "Costs!B4:C4, B7; People!A2:B4"
    lines: list[Area] = [{"kind": "lines", "first": 3, "last": 3}, {"kind": "lines", "first": 5, "last": 9}]
    assert cells_words(lines, "Zeilen") == "Zeilen 3, 5–9"
    many = cells_words(cells("A", *(f"B{row}" for row in range(1, 100, 2))))
    assert many.endswith(", …") and many.count(",") == MOST_AREAS_SHOWN
    assert cells_words([]) == ""


def test_the_panel_opens_at_all_cells_of_the_first_sheet() -> None:
    areas = [*cells("Costs", "B4:C4", "B7"), *cells("People", "A2:B4")]
    assert bounding_place(areas) == {"kind": "cells", "sheet": "Costs", "range": "B4:C4,B7"}
    lines: list[Area] = [{"kind": "lines", "first": 3, "last": 3}, {"kind": "lines", "first": 5, "last": 9}]
    assert bounding_place(lines) == {"kind": "lines", "first": 3, "last": 9}
    assert bounding_place([]) == {"kind": "cells", "sheet": "", "range": ""}


SQL = "SELECT region, sum(price), avg(share) FROM costs WHERE fathoms > 50 GROUP BY ALL"
RESULT = "region\tsum\tavg\nNorth\t73.5\t0.15273\nSouth\t1204\t0.5"


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("Together they cost 73.5.", "supported"),
        ("Those longer than 50 fathoms cost 73.50 euros.", "supported"),
        ("Il y en a pour 1 204 euros.", "supported"),
        ("Der Süden kostet 1.204 €, im Schnitt 50 %.", "supported"),
        ("The north has a share of 15.3%.", "supported"),
        ("北部的总额是73.5。", "supported"),
        ("Together they cost 74.5.", "not_found"),
        ("The north costs 73.5, the south 1205.", "not_found"),
        ("The north has a share of 16%.", "not_found"),
    ],
)
def test_a_sentence_on_a_result_stands_on_its_quantities(sentence: str, found: str) -> None:
    computed = {"sql": SQL, "areas": [], "is_exact": True, "num_rows": 8, "is_truncated": False}
    row = Evidence(number=1, computed=computed, excerpt=Excerpt(sha256="0" * 64, text=RESULT))
    assert compare(sentence, [row]).found == found


def test_a_sentence_on_a_passage_is_compared_with_its_words() -> None:
    row = Evidence(number=1, excerpt=Excerpt(sha256="0" * 64, text="The pier is 40 m long."))
    assert compare("It costs 40 to dine.", [row]).found != "supported"
