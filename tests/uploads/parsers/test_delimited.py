"""CSV and TSV."""

import csv
from pathlib import Path

import pytest

from tests.uploads.parsers.reading import blocks_of


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_usual_delimiter_is_found(delimiter: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([["Mole", "Length, m"], ["North", "410,5"], ["South", "380,2"]])
    assert blocks_of(path)[0].text == "Mole\tLength, m\nNorth\t410,5\nSouth\t380,2"


def test_every_piece_repeats_the_header_and_tells_its_own_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("item,euro\n" + "".join(f"item {number},{number}\n" for number in range(1, 101)))
    blocks = blocks_of(path)
    assert [block.text.splitlines()[0] for block in blocks] == ["item\teuro"] * 3
    assert [block.place for block in blocks] == [
        {"kind": "lines", "first": 2, "last": 41},
        {"kind": "lines", "first": 42, "last": 81},
        {"kind": "lines", "first": 82, "last": 101},
    ]
    assert blocks[1].text.splitlines()[1] == "item 41\t41"


def test_a_cell_of_two_lines_moves_the_lines_after_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"row {number},{number}\n" for number in range(39))
    path.write_text('name,remark\nfirst,"two\nlines"\n' + rows + "last,1\n")
    blocks = blocks_of(path)
    assert "first\ttwo lines" in blocks[0].text
    assert [block.place for block in blocks] == [
        {"kind": "lines", "first": 2, "last": 42},
        {"kind": "lines", "first": 43, "last": 43},
    ]


def test_numbers_in_the_first_row_are_no_header(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"{number}\t{number * 2}\n" for number in range(50)))
    blocks = blocks_of(path)
    assert [block.place for block in blocks] == [
        {"kind": "lines", "first": 1, "last": 40},
        {"kind": "lines", "first": 41, "last": 50},
    ]
    assert blocks[1].text.splitlines()[0] == "40\t80"


def test_a_header_alone_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("item;euro\n")
    assert [block.text for block in blocks_of(path)] == ["item\teuro"]
