"""What the model is told of tables and of results, however little room there is."""

from dataclasses import replace

import pytest

from chatapp.context.counting import RatioCounter
from chatapp.context.tables import PURPOSE, TableFile, as_text, description, detail_for, parameters, told
from uploads.computing.answer import Cells, Column, Result, Table, Tables

COUNTER = RatioCounter(3.0)
REGION = Column("region", "Region", "A", "VARCHAR", 3, 0, ("East", "North"))
PRICE = Column("price_eur", "Price (EUR)", "B", "VARCHAR", 3, 2)
COSTS = Table("costs", "Costs 2024", "All costs", 1, 2, 4, 3, (REGION, PRICE), (("North", 1.5), (None, "n/a")), (4,))
FILE = TableFile("costs.xlsx", Tables((COSTS,)))
RESULT = Result(("what", "n"), (("a\tb\nc", 1), (None, 2.50), (True, 0.1)), False, Cells((), 3, True))


def described(room_tokens: int, *files: TableFile) -> str:
    text = description(files, detail_for(files, room_tokens, COUNTER))
    assert text.startswith(PURPOSE)
    return text.removeprefix(PURPOSE)


def test_with_room_values_and_first_rows_are_told() -> None:
    assert described(2000, FILE).split("\n")[1:] == [
        "File costs.xlsx:",
        "- costs of sheet Costs 2024, titled All costs, 3 rows: region VARCHAR one of: East | North, "
        "price_eur VARCHAR (Price (EUR)) (2 of 3 are numbers: use TRY_CAST)",
        "  for example: North | 1.5",
        "  for example:  | n/a",
        "  rows with _row in (4) hold totals of others: leave them out of sums",
    ]


def test_with_little_room_types_are_told_and_with_less_names_of_what_fits() -> None:
    many = TableFile("many.xlsx", Tables(tuple(replace(COSTS, name=f"costs_{n}") for n in range(40)), 2))
    whole = COUNTER.count(PURPOSE + described(100_000, many))
    assert "for example" not in described(whole - 1, many) and "region VARCHAR" in described(whole - 1, many)
    few = described(COUNTER.count(PURPOSE) + 300, many)
    assert "costs_0 of sheet Costs 2024, 3 rows: region, price_eur" in few and "costs_39" not in few
    assert COUNTER.count(PURPOSE + few) <= COUNTER.count(PURPOSE) + 300


def test_words_of_a_file_stay_on_their_line() -> None:
    sly = replace(COSTS, sheet="x\n- secrets of sheet y", title="a\r\nb")
    lines = described(2000, TableFile("n\nm.xlsx", Tables((sly,)))).split("\n")
    assert lines[1] == "File n m.xlsx:" and lines[2].startswith("- costs of sheet x - secrets of sheet y, titled a b, ")


@pytest.mark.parametrize(("names", "required"), [(["a"], ["sql"]), (["a", "b"], ["file", "sql"])])
def test_a_file_is_named_only_among_several(names: list[str], required: list[str]) -> None:
    assert parameters(names)["required"] == required


def test_a_result_is_a_line_a_row_whatever_is_in_its_cells() -> None:
    assert as_text(RESULT) == "what\tn\na b c\t1\n\t2.5\nTRUE\t0.1"


def test_of_a_long_result_as_much_is_told_as_fits_and_that_there_is_more() -> None:
    text = as_text(RESULT)
    assert told(7, text, "from A!B2", False, 1000, COUNTER) == f"[7] from A!B2\n{text}"
    assert told(7, text, "", False, 8, COUNTER) == "[7]\nwhat\tn\na b c\t1\n(there are more rows)"
    assert told(7, text, "", True, 1000, COUNTER).endswith("0.1\n(there are more rows)")
    assert told(7, "n", "", False, 1000, COUNTER) == "[7]\nn\n(no rows)"
