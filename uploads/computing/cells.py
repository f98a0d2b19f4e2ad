"""Which cells a query has read, told from its syntax tree as DuckDB gives it. Knows no spreadsheet library.

Rows: the query itself is asked for `_row` beside its columns; where that cannot be (it counts or sums), its FROM and
WHERE are asked for it alone. Columns: those it names. Everything else is said to be inexact.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from uploads.computing.addresses import MAX_AREAS, bounding, number_of, runs
from uploads.computing.answer import Area, Cells, Table
from uploads.computing.database import reading
from uploads.computing.naming import ROW
from uploads.parsers.cells import range_of

ROW_REFERENCE = {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": 0, "column_names": [ROW]}
BARE: dict[str, Any] = {
    "modifiers": [],
    "group_expressions": [],
    "group_sets": [],
    "aggregate_handling": "STANDARD_HANDLING",
    "having": None,
    "qualify": None,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One query over its tables. `node` is the tree of a plain SELECT over one table, None for anything else."""

    tables: tuple[Table, ...]
    columns: frozenset[str]  # as they are called in the query; empty where all are meant
    node: Mapping[str, Any] | None

    @property
    def sql_with_rows(self) -> Mapping[str, Any] | None:
        """The same query with `_row` as its last column: None where that would change what it says."""
        if self.node is None or self.node["aggregate_handling"] != "STANDARD_HANDLING":
            return None
        if any(modifier["type"] == "DISTINCT_MODIFIER" for modifier in self.node["modifiers"]):
            return None
        return {**self.node, "select_list": [*self.node["select_list"], ROW_REFERENCE]}

    @property
    def sql_of_rows(self) -> Mapping[str, Any] | None:
        return None if self.node is None else {**self.node, **BARE, "select_list": [ROW_REFERENCE]}


def plan_of(database: DuckDBPyConnection, sql: str, tables: Sequence[Table]) -> Plan:
    found = database.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    assert found is not None
    tree = json.loads(found[0])
    if tree["error"]:
        return Plan(tuple(tables), frozenset(), None)
    node = tree["statements"][0]["node"]
    parts = list(walk(node))
    named = {part["table_name"].lower() for part in parts if part.get("type") == "BASE_TABLE"}
    used = tuple(table for table in tables if table.name in named)
    if any(part.get("type") in ("TABLE_FUNCTION", "SHOW_REF") for part in parts):
        return Plan(tuple(tables), frozenset(), None)  # query('SELECT ...') is a text to this tree
    stars = any(part.get("class") == "STAR" for part in parts)
    references = {part["column_names"][-1].lower() for part in parts if part.get("class") == "COLUMN_REF"}
    known = {column.name for table in used for column in table.columns}
    columns = frozenset() if stars else frozenset(references & known)
    return Plan(used, columns, node if is_plain(node, parts, used) else None)


def is_plain(node: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], used: Sequence[Table]) -> bool:
    """One SELECT over one of the tables, with no other inside it."""
    return (
        node["type"] == "SELECT_NODE"
        and node["from_table"]["type"] == "BASE_TABLE"
        and node["from_table"]["sample"] is None
        and node["sample"] is None
        and len(used) == 1
        and sum(part.get("type") in ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE") for part in parts) == 1
        and sum(part.get("type") == "BASE_TABLE" for part in parts) == 1
        and not node["cte_map"]["map"]
    )


def walk(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every object of the tree. Without recursion: a query may nest as deep as its parser lets it."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def sql_of(database: DuckDBPyConnection, node: Mapping[str, Any]) -> str:
    tree = {"error": False, "statements": [{"node": node, "named_param_map": []}]}
    found = database.execute("SELECT json_deserialize_sql(?::VARCHAR)", [json.dumps(tree)]).fetchone()
    assert found is not None
    return str(found[0])


def rows_read(database: DuckDBPyConnection, plan: Plan) -> list[int] | None:
    """The rows that FROM and WHERE leave; None where it cannot be told."""
    if plan.sql_of_rows is None:
        return None
    try:
        with reading(database):
            return [row for (row,) in database.execute(sql_of(database, plan.sql_of_rows)).fetchall()]
    except (duckdb.InterruptException, duckdb.OutOfMemoryException):
        raise
    except duckdb.Error:
        return None  # its WHERE speaks of what its SELECT has computed


def cells_of(plan: Plan, rows: Sequence[int] | None) -> Cells:
    if not plan.tables:
        return Cells((), 0, True)
    if rows is None or len(plan.tables) != 1:
        areas = tuple(area for table in plan.tables for area in areas_of(table, plan.columns, None))
        return Cells(areas[:MAX_AREAS], sum(table.num_rows for table in plan.tables), False)
    table, pieces = plan.tables[0], runs(rows)
    areas = tuple(areas_of(table, plan.columns, pieces))
    if len(areas) <= MAX_AREAS:
        return Cells(areas, len(set(rows)), True)
    return Cells(tuple(areas_of(table, plan.columns, [bounding(pieces)])), len(set(rows)), False)


def areas_of(table: Table, columns: frozenset[str], pieces: Sequence[tuple[int, int]] | None) -> Iterator[Area]:
    """`pieces` None: all rows of the table."""
    pieces = [(table.first_row, table.last_row)] if pieces is None else pieces
    if not table.sheet:
        for first, last in pieces:
            yield {"kind": "lines", "first": first, "last": last}
        return
    numbers = runs(number_of(c.letter) for c in table.columns if not columns or c.name in columns)
    for top, bottom in pieces:
        for left, right in numbers:
            yield {"kind": "cells", "sheet": table.sheet, "range": range_of(top - 1, left - 1, bottom - 1, right - 1)}
