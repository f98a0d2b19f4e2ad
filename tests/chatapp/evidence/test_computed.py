"""The cells of a result in words, and where the panel opens."""

from chatapp.evidence.computed import MOST_AREAS_SHOWN, bounding_place, cells_words
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
