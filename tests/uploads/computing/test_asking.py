"""Questions over real spreadsheets, each answered by a fenced child."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from tests.uploads.computing.workbooks import source_of
from uploads.computing.answer import Bounds, Refusal, Result, Table, Tables
from uploads.computing.asking import BOUNDS, read_tables, run_query
from uploads.document import Source
from uploads.fence import ReadingCancelled

Writer = Callable[..., Source]


def tables_of(source: Source) -> dict[str, Table]:
    found = read_tables(source)
    assert isinstance(found, Tables), found
    return {table.name: table for table in found.tables}


def ask(source: Source, sql: str, bounds: Bounds = BOUNDS) -> Result:
    result = run_query(source, sql, bounds)
    assert isinstance(result, Result), result
    return result


def ranges(result: Result) -> list[str]:
    return [area["range"] for area in result.cells.areas if area["kind"] == "cells"]


def lines(result: Result) -> list[tuple[int, int]]:
    return [(area["first"], area["last"]) for area in result.cells.areas if area["kind"] == "lines"]


def types(table: Table) -> dict[str, str]:
    return {column.name: column.type for column in table.columns}


@pytest.fixture
def text(tmp_path: Path) -> Writer:
    def write(content: str | bytes, name: str = "table.csv") -> Source:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return source_of(path)

    return write


@pytest.fixture
def book(tmp_path: Path) -> Writer:
    def write(*rows: list[object]) -> Source:
        workbook = openpyxl.Workbook()
        assert workbook.active is not None
        for row in rows:
            workbook.active.append(row)
        workbook.save(tmp_path / "book.xlsx")
        return source_of(tmp_path / "book.xlsx")

    return write


def test_types_names_and_addresses_are_kept_in_every_form(sales_in_every_form: Source) -> None:
    tables = tables_of(sales_in_every_form)
    assert list(tables) == ["sales_2024", "people", "people_2"]
    sales = tables["sales_2024"]
    assert (sales.sheet, sales.title, sales.header_row) == ("Sales 2024", "Sales by region", 3)
    assert (sales.first_row, sales.last_row, sales.num_rows, sales.totals) == (4, 16, 13, (16,))
    assert types(sales) == {
        "region": "VARCHAR",
        "price_eur": "DOUBLE",
        "pieces": "BIGINT",
        "day": "DATE",
        # LibreOffice writes TRUE as 1 into an ods.
        "paid": "BIGINT" if sales_in_every_form.name.endswith(".ods") else "BOOLEAN",
    }
    region, price, *_ = sales.columns
    assert (region.letter, region.title, region.values) == ("B", "Region", ("East", "North", "South", "Total"))
    assert (price.letter, price.title, price.num_filled) == ("C", "Price (EUR)", 13)
    assert sales.sample[0] == ("North", 10.0, 0, "2024-01-01", True)
    assert tables["people_2"].title == "Trips" and types(tables["people_2"]) == {"who": "VARCHAR", "hours": "DOUBLE"}


def test_a_sum_names_the_cells_it_has_read(sales_in_every_form: Source) -> None:
    result = ask(sales_in_every_form, "SELECT sum(price_eur) AS euros FROM sales_2024 WHERE region = 'North'")
    assert (result.columns, result.rows) == (("euros",), ((49.0,),))
    assert ranges(result) == ["B4:C4", "B7:C7", "B10:C10", "B13:C13"]
    assert (result.cells.num_rows, result.cells.is_exact) == (4, True)


def test_rows_that_are_shown_are_the_rows_that_are_named(sales: Source) -> None:
    result = ask(sales, "SELECT region, pieces FROM sales_2024 WHERE region <> 'Total' ORDER BY pieces DESC LIMIT 2")
    assert result.rows == (("East", 11), ("South", 10))
    assert ranges(result) == ["B14:B15", "D14:D15"]
    assert result.cells.is_exact


def test_a_count_of_all_names_the_whole_table(sales: Source) -> None:
    result = ask(sales, "SELECT count(*) FROM people")
    assert result.rows == ((3,),) and ranges(result) == ["A2:B4"] and result.cells.is_exact


def test_groups_keep_the_rows_that_went_into_them(sales: Source) -> None:
    sql = "SELECT region, sum(pieces) AS n FROM sales_2024 WHERE day < '2024-01-04' GROUP BY ALL ORDER BY region"
    result = ask(sales, sql)
    assert result.rows == (("East", 2), ("North", 0), ("South", 1))
    assert ranges(result) == ["B4:B6", "D4:E6"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sum(s.pieces) FROM sales_2024 s JOIN people p USING (region) WHERE p.name = 'Ann'",
        "WITH north AS (SELECT * FROM sales_2024 WHERE region = 'North') SELECT sum(pieces) FROM north",
        "SELECT (SELECT sum(pieces) FROM sales_2024 WHERE region = 'North')",
        "SELECT * FROM query('SELECT sum(pieces) FROM sales_2024 WHERE region = ''North''')",
    ],
)
def test_where_the_rows_cannot_be_told_it_says_so(sales: Source, sql: str) -> None:
    result = ask(sales, sql)
    assert result.rows == ((18,),)
    assert not result.cells.is_exact
    assert any(cells.endswith("16") for cells in ranges(result))


def test_cells_in_too_many_pieces_are_named_as_one(book: Writer) -> None:
    source = book(["n", "odd"], *([n, bool(n % 2)] for n in range(200)))
    result = ask(source, "SELECT sum(n) FROM sheet WHERE odd")
    assert result.rows == ((10_000,),)
    assert ranges(result) == ["A3:B201"] and result.cells.num_rows == 100 and not result.cells.is_exact


def test_a_csv_is_of_the_types_of_all_its_words(text: Writer) -> None:
    source = text(
        "id,amount,thousands,when,at,ok,note,maybe\n"
        '00012,1.5,"1,234",2024-02-29,2024-02-29T10:00:00,true,a,01/02/2024\n'
        '00013,-2,"12,345.5",2024-03-01,2024-03-01 11:30,FALSE,"b\nc",03/04/2024\n'
        "00014,,7,,,,,\n"
    )
    [table] = tables_of(source).values()
    assert types(table) == {
        "id": "VARCHAR",
        "amount": "DOUBLE",
        "thousands": "DOUBLE",
        "when_": "DATE",
        "at_": "TIMESTAMP",
        "ok": "BOOLEAN",
        "note": "VARCHAR",
        "maybe": "VARCHAR",  # the first of February, or the second of January
    }
    result = ask(source, "SELECT sum(thousands), max(when_), count(note) FROM data")
    assert result.rows == ((13586.5, "2024-03-01", 2),)
    assert lines(ask(source, "SELECT note FROM data WHERE note = 'b' || chr(10) || 'c'")) == [(3, 3)]
    assert lines(ask(source, "SELECT id FROM data WHERE id = '00014'")) == [(5, 5)]


def test_a_word_far_below_makes_a_column_of_words(text: Writer) -> None:
    rows = "".join(f"{n},{n},\n" for n in range(5000))
    [table] = tables_of(text(f"a,b,\n{rows}x,5000,\n")).values()
    assert types(table) == {"a": "VARCHAR", "b": "BIGINT"}, "and a column without a name or a value is none"
    assert (table.columns[0].num_filled, table.columns[0].num_numbers) == (5001, 5000)
    assert table.columns[0].values == ()


def test_columns_beyond_those_taken_are_counted(text: Writer) -> None:
    [table] = tables_of(text(",".join(f"c{n}" for n in range(1500)) + "\n" + ",".join(["7"] * 1500) + "\n")).values()
    assert len(table.columns) == 300 and table.num_columns_left_out == 1200


def test_a_german_csv_is_read_with_its_commas_and_its_days(text: Writer) -> None:
    source = text("Straße;Miete;Beginn\nHöhe 1;1.250,50;01.02.2024\nTal 2;99,5;31.12.2023\n".encode("cp1252"))
    [table] = tables_of(source).values()
    assert types(table) == {"straße": "VARCHAR", "miete": "DOUBLE", "beginn": "DATE"}
    result = ask(source, "SELECT straße, miete FROM data WHERE beginn >= DATE '2024-01-01'")
    assert result.rows == (("Höhe 1", 1250.5),) and lines(result) == [(2, 2)]


def test_a_chinese_sheet_is_asked_in_its_own_names(book: Writer) -> None:
    source = book(["城市", "人口（万）"], ["北京", 2189], ["上海", 2487], ["合计", 4676])
    [table] = tables_of(source).values()
    assert [column.name for column in table.columns] == ["城市", "人口_万"] and table.totals == (4,)
    assert ask(source, "SELECT sum(人口_万) FROM sheet WHERE 城市 <> '合计'").rows == ((4676,),)


def test_a_header_of_two_rows_names_each_column_once(book: Writer) -> None:
    source = book(["", "2023", "", "2024", ""], ["Region", "Q1", "Q2", "Q1", "Q2"], ["North", 1, 2, 3, 4])
    [table] = tables_of(source).values()
    assert [column.name for column in table.columns] == ["region", "_2023_q1", "_2023_q2", "_2024_q1", "_2024_q2"]


def test_columns_without_a_name_or_with_a_word_of_sql_can_be_asked_for(book: Writer) -> None:
    source = book(["Order", "Order", "", "_row", "select * from x; --"], ["a", 1, 2, 3, 4])
    [table] = tables_of(source).values()
    names = [column.name for column in table.columns]
    assert names == ["order_", "order__2", "column_c", "row_", "select_from_x"]
    assert ask(source, f"SELECT {', '.join(names)}, _row FROM sheet").rows == (("a", 1, 2, 3, 4, 2),)


def test_a_column_of_numbers_and_words_says_how_many_are_numbers(book: Writer) -> None:
    source = book(["what", "price"], ["a", 1.5], ["b", "n/a"], ["c", 2])
    [table] = tables_of(source).values()
    price = table.columns[1]
    assert (price.type, price.num_filled, price.num_numbers) == ("VARCHAR", 3, 2)
    assert ask(source, "SELECT sum(TRY_CAST(price AS DOUBLE)) FROM sheet").rows == ((3.5,),)
    refused = run_query(source, "SELECT sum(price) FROM sheet")
    assert isinstance(refused, Refusal) and refused.code == "mistake" and "sum" in refused.words


def test_an_empty_word_is_not_an_empty_cell(text: Writer) -> None:
    source = text('a,b\n"x, ""y""",\n,2\n')
    assert ask(source, "SELECT a, b FROM data").rows == (('x, "y"', None), (None, 2))


def test_lines_of_unequal_length_are_all_kept(text: Writer) -> None:
    source = text("a;b\n1;2\n3;4;5\n6\n")
    assert ask(source, "SELECT * EXCLUDE (_row) FROM data").rows == ((1, 2, None), (3, 4, 5), (6, None, None))


def test_a_long_result_is_cut_and_says_so(book: Writer) -> None:
    source = book(["n", "word"], *([n, "w" * 600] for n in range(300)))
    result = ask(source, "SELECT n FROM sheet ORDER BY n")
    assert len(result.rows) == 200 and result.is_truncated and ranges(result) == ["A2:A201"]
    exactly = ask(source, "SELECT n FROM sheet ORDER BY n LIMIT 200")
    assert len(exactly.rows) == 200 and not exactly.is_truncated
    words = ask(source, "SELECT word FROM sheet LIMIT 1")
    assert words.rows == (("w" * 500 + "…",),) and words.is_truncated
    many = ask(source, "SELECT word FROM sheet", Bounds(result_characters=2000))
    assert len(many.rows) == 3 and many.is_truncated


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT prize_eur FROM sales_2024", "price_eur"),
        ("SELECT * FROM sale", "sales_2024("),
        ("SELEC 1", "syntax error"),
        ("", "empty"),
        ("SELECT sum(region) FROM sales_2024", "sum"),
    ],
)
def test_a_mistaken_query_is_told_what_would_be_right(sales: Source, sql: str, words: str) -> None:
    refusal = run_query(sales, sql)
    assert isinstance(refusal, Refusal) and refusal.code == "mistake"
    assert words in refusal.words


def test_a_broken_file_and_one_without_a_table_are_refused(text: Writer, book: Writer, tmp_path: Path) -> None:
    broken = tmp_path / "broken.xlsx"
    broken.write_bytes(b"PK\x03\x04 this is no workbook")
    for source in (source_of(broken), book(), text("")):
        refusal = read_tables(source)
        assert isinstance(refusal, Refusal) and refusal.code == "unreadable"


def test_more_cells_than_allowed_are_refused_and_not_loaded(sales: Source) -> None:
    refusal = run_query(sales, "SELECT 1", Bounds(cells=20))
    assert isinstance(refusal, Refusal) and refusal.code == "too_large" and "20" in refusal.words


def test_a_computation_nobody_wants_any_more_is_ended(sales: Source) -> None:
    forever = "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r"
    with pytest.raises(ReadingCancelled):
        run_query(sales, forever, Bounds(seconds=60.0), is_cancelled=lambda: True)


def test_ten_thousand_rows_are_loaded_and_summed(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet("Big")
    sheet.append(["n", "half", "word"])
    for n in range(10_000):
        sheet.append([n, n / 2, f"word {n}"])
    workbook.save(tmp_path / "big.xlsx")
    source = replace(source_of(tmp_path / "big.xlsx"), name="big.xlsx")
    assert ask(source, "SELECT sum(n), sum(half), count(DISTINCT word) FROM big").rows == ((49995000, 24997500, 10000),)
