"""Drafts loaded into DuckDB: every table with the types of its columns, and what is to be said of it.

A workbook says what its values are. In a text they are words: a column is of a type when all of its values are.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from duckdb import DuckDBPyConnection

from uploads.computing.answer import Bounds, Column, Table
from uploads.computing.drafting import MAX_WIDTH, Draft, type_of
from uploads.computing.naming import ROW, safe_name
from uploads.computing.scalars import scalar_of
from uploads.parsers.cells import column_name

MAX_COLUMNS = 300
SAMPLE_ROWS = 3
FEW_VALUES, SHORT_VALUE = 12, 60
TRIED_ROWS = 2000
MAX_LINE_BYTES = 8 * 1024**2


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a word. `value` is SQL over `@`, NULL where the word is none of these."""

    type: str
    value: str

    def of(self, column: str) -> str:
        return self.value.replace("@", column)


def _where(pattern: str, value: str) -> str:
    return f"CASE WHEN regexp_full_match(@, '{pattern}') THEN {value} END"


# Numbers that begin with a zero are names: 00123 is not 123.
WHOLE = Reading("BIGINT", _where(r"[+-]?(0|[1-9]\d{0,17})", "TRY_CAST(@ AS BIGINT)"))
POINT = Reading("DOUBLE", _where(r"[+-]?((0|[1-9]\d*)(\.\d+)?|\.\d+)([eE][+-]?\d{1,3})?", "TRY_CAST(@ AS DOUBLE)"))
COMMA = Reading(
    "DOUBLE",
    _where(
        r"[+-]?(0|[1-9]\d{0,2}(\.\d{3})+|[1-9]\d*)(,\d+)?",
        "TRY_CAST(replace(replace(@, '.', ''), ',', '.') AS DOUBLE)",
    ),
)
THOUSANDS = Reading(
    "DOUBLE",
    _where(r"[+-]?(0|[1-9]\d{0,2}(,\d{3})+|[1-9]\d*)(\.\d+)?", "TRY_CAST(replace(@, ',', '') AS DOUBLE)"),
)
TRUTH = Reading("BOOLEAN", _where("(?i)true|false", "TRY_CAST(@ AS BOOLEAN)"))
DAY = Reading("DATE", _where(r"\d{4}-\d\d-\d\d", "TRY_CAST(@ AS DATE)"))
MOMENT = Reading("TIMESTAMP", _where(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", "TRY_CAST(@ AS TIMESTAMP)"))
TIME = Reading("TIME", _where(r"\d\d?:\d\d(:\d\d)?", "TRY_CAST(if(length(@) < 6, @ || ':00', @) AS TIME)"))
DOTTED = Reading("DATE", "CAST(try_strptime(@, '%d.%m.%Y') AS DATE)")
DAY_FIRST = Reading("DATE", "CAST(try_strptime(@, '%d/%m/%Y') AS DATE)")
MONTH_FIRST = Reading("DATE", "CAST(try_strptime(@, '%m/%d/%Y') AS DATE)")
TEXT = Reading("VARCHAR", "@")
READINGS = (WHOLE, POINT, TRUTH, DAY, MOMENT, TIME, DOTTED, COMMA, THOUSANDS, DAY_FIRST, MONTH_FIRST)


# Readings by the number of their column.
Possible: TypeAlias = Mapping[int, Sequence[Reading]]


def typed(type: str) -> Reading:
    return Reading(type, f"CAST(@ AS {type})")


@dataclass(frozen=True, slots=True)
class Planned:
    """A column as it will be: the `number` is its place among those of the draft."""

    number: int
    name: str
    title: str
    letter: str
    reading: Reading

    @property
    def sql(self) -> str:
        return f'{self.reading.of(f"c{self.number}")} AS "{self.name}"'


def load(
    database: DuckDBPyConnection, draft: Draft, taken: set[str], reserved: Container[str], bounds: Bounds
) -> Table:
    """Makes the table and describes it. Its name is added to `taken`."""
    name = safe_name(draft.sheet.name or draft.title, "data", taken, reserved)
    width = min(max(len(draft.kinds), len(draft.names)), MAX_WIDTH)
    _make_raw(database, draft, width)
    planned = _planned(database, draft, width, reserved)
    kept = planned[:MAX_COLUMNS]
    columns = ", ".join([f"CAST(r AS BIGINT) AS {ROW}", *(column.sql for column in kept)])
    database.execute(f'CREATE TABLE "{name}" AS SELECT {columns} FROM raw')
    database.execute("DROP TABLE raw")
    sample = database.execute(f'SELECT * EXCLUDE ({ROW}) FROM "{name}" LIMIT {SAMPLE_ROWS}').fetchall() if kept else []
    return Table(
        name=name,
        sheet=draft.sheet.name,
        title=draft.title,
        header_row=draft.header.number if draft.header else None,
        first_row=draft.first_row,
        last_row=draft.last_row,
        num_rows=draft.num_rows,
        columns=tuple(_describe(database, name, column) for column in kept),
        sample=tuple(tuple(scalar_of(value, bounds.text_characters)[0] for value in row) for row in sample),
        totals=tuple(draft.totals[:20]),
        num_columns_left_out=len(planned) - len(kept) + max(0, max(draft.widest, len(draft.names)) - MAX_WIDTH),
    )


def _planned(database: DuckDBPyConnection, draft: Draft, width: int, reserved: Container[str]) -> list[Planned]:
    """Every column that has a name or a value."""
    if draft.sheet.is_typed:
        readings = {n: typed(type_of(kinds)) for n, kinds in enumerate(draft.kinds) if kinds}
    else:
        readings = _read_as(database, width)
    titles = dict(enumerate(draft.names[:width]))
    names: set[str] = set()
    planned = []
    for n in range(width):
        title, letter = titles.get(n, ""), column_name(draft.sheet.left + n - 1)
        if title or n in readings:
            name = safe_name(title, f"column_{letter.lower()}", names, reserved)
            planned.append(Planned(n, name, title, letter, readings.get(n, TEXT)))
    return planned


def _make_raw(database: DuckDBPyConnection, draft: Draft, width: int) -> None:
    """All values as words, in a table of its own."""
    columns = ", ".join(["'r': 'VARCHAR'", *(f"'c{n}': 'VARCHAR'" for n in range(width))])
    draft.path.touch()
    database.execute(
        f"CREATE TABLE raw AS SELECT * FROM read_csv('{draft.path}', columns={{{columns}}}, auto_detect=false, "
        "header=false, delim=',', quote='\"', escape='\"', null_padding=true, parallel=false, "
        f"allow_quoted_nulls=false, max_line_size={MAX_LINE_BYTES})"
    )
    draft.path.unlink()


def _read_as(database: DuckDBPyConnection, width: int) -> dict[int, Reading]:
    """The first reading that takes every value of its column; columns without a value are left out.

    Most readings fail on the first values: to try all of them on all rows took longer than to read the file.
    """
    possible: Possible = dict.fromkeys(range(width), READINGS)
    for rows in (f"(FROM raw LIMIT {TRIED_ROWS})", "raw"):
        possible = _fitting(database, rows, possible)
    return {n: _chosen(fitting) for n, fitting in possible.items()}


def _fitting(database: DuckDBPyConnection, rows: str, possible: Possible) -> Possible:
    """Those of the possible readings that take all values of their columns in these rows."""
    counts = [f"count({reading.of(f'c{n}')})" for n, readings in possible.items() for reading in (TEXT, *readings)]
    found = iter(database.execute(f"SELECT {', '.join(counts)} FROM {rows}").fetchone() or () if counts else ())
    fitting: dict[int, Sequence[Reading]] = {}
    for n, readings in possible.items():
        filled, *fits = [next(found) for _ in (TEXT, *readings)]
        if filled or rows != "raw":
            fitting[n] = [reading for reading, count in zip(readings, fits, strict=True) if count == filled]
    return fitting


def _chosen(fitting: Sequence[Reading]) -> Reading:
    """A day that may as well be a month stays a text."""
    is_open = DAY_FIRST in fitting and MONTH_FIRST in fitting
    return TEXT if is_open or not fitting else fitting[0]


def _describe(database: DuckDBPyConnection, table: str, planned: Planned) -> Column:
    column, at = f'"{planned.name}"', f'FROM "{table}"'
    facts = (planned.name, planned.title, planned.letter, planned.reading.type)
    if planned.reading.type != "VARCHAR":
        (filled,) = _one(database, f"SELECT count({column}) {at}")
        return Column(*facts, filled, filled)
    filled, numbers, distinct, longest = _one(
        database,
        f"SELECT count({column}), count(TRY_CAST({column} AS DOUBLE)), approx_count_distinct({column}), "
        f"max(length({column})) {at}",
    )
    values: list[tuple[str]] = []
    if filled and distinct <= 2 * FEW_VALUES and longest <= SHORT_VALUE:
        values = database.execute(
            f"SELECT DISTINCT {column} {at} WHERE {column} IS NOT NULL ORDER BY 1 LIMIT {FEW_VALUES + 1}"
        ).fetchall()
    few = values if len(values) <= FEW_VALUES else []
    return Column(*facts, filled, numbers, tuple(value for (value,) in few))


def _one(database: DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    found = database.execute(sql).fetchone()
    assert found is not None, "an aggregate has one row"
    return tuple(found)
