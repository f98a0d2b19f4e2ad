"""Spreadsheets, by openpyxl and by LibreOffice."""

from pathlib import Path

import pytest

from tests.uploads.parsers.reading import TYPES, block_with, blocks_of, read
from uploads.document import Block, Unparsable
from uploads.parsers.cells import range_of


def ranges(blocks: list[Block], sheet: str) -> list[str]:
    return [
        block.place["range"] for block in blocks if block.place["kind"] == "cells" and block.place["sheet"] == sheet
    ]


@pytest.mark.parametrize("where", [".", "saved"])
def test_ranges_are_those_of_the_rows_and_headers_are_repeated(where: str, written: Path, saved: Path) -> None:
    blocks = blocks_of(written / where / "costs.xlsx")
    assert ranges(blocks, "Costs") == ["A1", "A4:G43", "A44:G83", "A84:G103", "B107:C107"]
    assert ranges(blocks, "Notes") == ["C6:D6"]
    item = block_with("Item 41\t", blocks)
    assert item.headings == ("Costs", "Costs of the harbour")
    header, first = item.text.splitlines()[:2]
    assert header == "Item\t2023 Plan\t2023 Real\t2024 Plan\t2024 Real\tShare\tDue"
    assert first == "Item 41\t410\t45.1\t820\tFALSE\t10.25%\t2024-02-11"
    assert block_with("North", blocks).text == "Mole\tLength\nNorth\t410"
    assert block_with("Anna", blocks).text == "Name\tPhone\nAnna Schäfer\t港 4711"


@pytest.mark.parametrize("form", ["xls", "ods"])
def test_other_formats_keep_values_and_addresses(form: str, saved: Path) -> None:
    blocks = blocks_of(saved / f"costs.{form}")
    assert ranges(blocks, "Notes") == ["C6:D6"]
    assert ranges(blocks, "Costs")[-1] == "B107:C107"
    line = next(line for line in block_with("Item 41\t", blocks).text.splitlines() if line.startswith("Item 41\t"))
    assert line.split("\t")[1:4] == ["410", "45.1", "820"] and line.split("\t")[6] == "2024-02-11"


@pytest.mark.parametrize("form", ["xlsx", "xls", "ods"])
def test_what_is_no_spreadsheet_is_broken(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{form}"
    path.write_bytes(b"PK\x03\x04 and then nothing of the kind")
    with pytest.raises(Unparsable, match="broken"):
        read(path, TYPES[form])


def test_addresses_go_on_after_z() -> None:
    assert range_of(0, 25, 9, 26) == "Z1:AA10"
    assert range_of(4, 701, 4, 702) == "ZZ5:AAA5"
    assert range_of(2, 3, 2, 3) == "D3"
