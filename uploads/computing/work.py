"""What the fenced child does for a Query: reads the sheets, loads them, locks the database, asks it once."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import duckdb
from duckdb import DuckDBPyConnection

from uploads.computing.answer import Bounds, Query, Refusal, Result, Scalar, Table, Tables
from uploads.computing.cells import Plan, cells_of, plan_of, rows_read, sql_of
from uploads.computing.codec import Answer, decode_query, encode_answer
from uploads.computing.database import (
    Refused,
    at_most,
    check_is_one_select,
    failures_in_words,
    lock,
    open_database,
    reading,
    reserved_words,
)
from uploads.computing.drafting import drafts_of
from uploads.computing.loading import load
from uploads.computing.scalars import scalar_of
from uploads.computing.sheets import sheets_of
from uploads.document import Source
from uploads.wire import Computed

MAX_TABLES = 40
NO_TABLE = "There is no table in this file."


def compute(source: Source, query: str) -> Iterator[Computed]:
    """One answer. Raises Unparsable for a file that cannot be read."""
    yield Computed(encode_answer(answer(source, decode_query(query))))


def answer(source: Source, query: Query) -> Answer:
    database = open_database(query.bounds.memory_bytes)
    try:
        if query.sql is not None:
            check_is_one_select(database, query.sql)  # before the file is read for nothing
        tables = load_all(database, source, query.bounds)
        if not tables.tables:
            return Refusal("unreadable", NO_TABLE)
        if query.sql is None:
            return tables
        lock(database)
        with at_most(database, query.bounds.seconds):
            return ask(database, query.sql, tables.tables, query.bounds)
    except Refused as refused:
        return refused.refusal


def load_all(database: DuckDBPyConnection, source: Source, bounds: Bounds) -> Tables:
    reserved, taken = reserved_words(database), {"raw"}
    tables: list[Table] = []
    num_cells = num_left_out = 0
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        for number, sheet in enumerate(sheets_of(source)):
            for draft in drafts_of(sheet, Path(folder), str(number)):
                num_cells += draft.num_cells
                if num_cells > bounds.cells:
                    raise Refused("too_large", f"The sheets have more than {bounds.cells} cells.")
                if len(tables) == MAX_TABLES:
                    num_left_out += 1
                elif draft.num_rows:
                    with failures_in_words():
                        tables.append(load(database, draft, taken, reserved, bounds))
    return Tables(tuple(tables), num_left_out)


def ask(database: DuckDBPyConnection, sql: str, tables: Sequence[Table], bounds: Bounds) -> Result:
    with failures_in_words(names_of(tables)):
        plan = plan_of(database, sql, tables)
        if (found := with_rows(database, plan, bounds)) is not None:
            names, fetched = found
            rows = [cast(int, row[-1]) for row in fetched[: bounds.rows]]
            return result(names[:-1], [row[:-1] for row in fetched], plan, rows, bounds)
        names, fetched = fetch(database, sql, bounds)
        return result(names, fetched, plan, rows_read(database, plan), bounds)


def names_of(tables: Sequence[Table]) -> str:
    """What a query that was mistaken might have meant."""
    return "; ".join(
        f"{table.name}({', '.join(column.name for column in table.columns[:50])})" for table in tables[:10]
    )


Fetched = tuple[list[str], list[tuple[object, ...]]]


def with_rows(database: DuckDBPyConnection, plan: Plan, bounds: Bounds) -> Fetched | None:
    """The query's own answer with the row each line came from; None for a query that gathers rows."""
    if plan.sql_with_rows is None:
        return None
    try:
        return fetch(database, sql_of(database, plan.sql_with_rows), bounds)
    except duckdb.BinderException:
        return None  # "_row must appear in the GROUP BY clause"; a mistake of the query itself is found next


def fetch(database: DuckDBPyConnection, sql: str, bounds: Bounds) -> Fetched:
    with reading(database):
        asked = database.execute(sql)
        names = [str(column[0]) for column in asked.description or ()]
        return names, asked.fetchmany(bounds.rows + 1)


def result(
    names: Sequence[str],
    fetched: Sequence[tuple[object, ...]],
    plan: Plan,
    rows: Sequence[int] | None,
    bounds: Bounds,
) -> Result:
    is_truncated = len(fetched) > bounds.rows
    kept: list[tuple[Scalar, ...]] = []
    num_characters = sum(map(len, names))
    for row in fetched[: bounds.rows]:
        scalars = [scalar_of(value, bounds.text_characters) for value in row]
        num_characters += sum(len(str(scalar)) for scalar, _ in scalars)
        if num_characters > bounds.result_characters:
            is_truncated = True
            break
        is_truncated |= any(is_cut for _, is_cut in scalars)
        kept.append(tuple(scalar for scalar, _ in scalars))
    return Result(tuple(names), tuple(kept), is_truncated, cells_of(plan, rows))
