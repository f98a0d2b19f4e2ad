"""Drafts loaded into DuckDB: every table with the types of its columns, and what is to be said of it.

A workbook says what its values are. In a text they are words: a column is of a type when all of its values are.
"""

from collections.abc import Container
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from uploads.computing.addresses import letter_of
from uploads.computing.answer import Bounds, Column, Table
from uploads.computing.drafting import Draft, type_of
from uploads.computing.naming import ROW, safe_name
from uploads.computing.scalars import scalar_of

MAX_COLUMNS = 300
SAMPLE_ROWS = 3
FEW_VALUES, SHORT_VALUE = 12, 60
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


def typed(type: str) -> Reading:
    return Reading(type, f"CAST(@ AS {type})")


def load(
    database: DuckDBPyConnection, draft: Draft, taken: set[str], reserved: Container[str], bounds: Bounds
) -> Table:
    """Makes the table and describes it. Its name is added to `taken`."""
    name = safe_name(draft.sheet.name or draft.title, "data", taken, reserved)
    width = max(len(draft.kinds), len(draft.names))
    raw = _raw(database, draft, width)
    used = [n for n in range(width) if (draft.kinds[n : n + 1] or [set()])[0] or (draft.names[n : n + 1] or [""])[0]]
    kept = used[:MAX_COLUMNS]
    readings = [typed(type_of(draft.kinds[n])) if n < len(draft.kinds) else TEXT for n in kept]
    if not draft.sheet.is_typed:
        readings = _read_as(database, raw, kept)
    names: set[str] = set()
    letters = [letter_of(draft.sheet.left + n) for n in kept]
    titles = [draft.names[n] if n < len(draft.names) else "" for n in kept]
    columns = [
        safe_name(title, f"column_{letter.lower()}", names, reserved)
        for title, letter in zip(titles, letters, strict=True)
    ]
    values = [
        f'{reading.of(f"c{n}")} AS "{column}"' for n, reading, column in zip(kept, readings, columns, strict=True)
    ]
    database.execute(f'CREATE TABLE "{name}" AS SELECT {", ".join([f"CAST(r AS BIGINT) AS {ROW}", *values])} FROM raw')
    database.execute("DROP TABLE raw")
    described = tuple(
        _describe(database, name, *facts) for facts in zip(columns, titles, letters, readings, strict=True)
    )
    sample = database.execute(f'SELECT * EXCLUDE ({ROW}) FROM "{name}" LIMIT {SAMPLE_ROWS}').fetchall()
    return Table(
        name=name,
        sheet=draft.sheet.name,
        title=draft.title,
        header_row=draft.header.number if draft.header else None,
        first_row=draft.first_row,
        last_row=draft.last_row,
        num_rows=draft.num_rows,
        columns=described,
        sample=tuple(tuple(scalar_of(value, bounds.text_characters)[0] for value in row) for row in sample),
        totals=tuple(draft.totals[:20]),
        num_columns_left_out=len(used) - len(kept),
    )


def _raw(database: DuckDBPyConnection, draft: Draft, width: int) -> str:
    columns = ", ".join(["'r': 'VARCHAR'", *(f"'c{n}': 'VARCHAR'" for n in range(width))])
    draft.path.touch()
    database.execute(
        f"CREATE TABLE raw AS SELECT * FROM read_csv('{draft.path}', columns={{{columns}}}, auto_detect=false, "
        "header=false, delim=',', quote='\"', escape='\"', null_padding=true, parallel=false, "
        f"allow_quoted_nulls=false, max_line_size={MAX_LINE_BYTES})"
    )
    draft.path.unlink()
    return "raw"


def _read_as(database: DuckDBPyConnection, raw: str, kept: list[int]) -> list[Reading]:
    """The first reading that takes every value of the column. A day that may as well be a month stays a text."""
    counts = [f"count({reading.of(f'c{n}')})" for n in kept for reading in (TEXT, *READINGS)]
    found = database.execute(f"SELECT {', '.join(counts)} FROM {raw}").fetchone() if counts else ()
    assert found is not None
    size = len(READINGS) + 1
    chosen = []
    for start in range(0, len(found), size):
        filled, *fits = found[start : start + size]
        fitting = [reading for reading, count in zip(READINGS, fits, strict=True) if count == filled > 0]
        is_open = DAY_FIRST in fitting and MONTH_FIRST in fitting
        chosen.append(TEXT if is_open or not fitting else fitting[0])
    return chosen


def _describe(
    database: DuckDBPyConnection, table: str, column: str, title: str, letter: str, reading: Reading
) -> Column:
    at = f'FROM "{table}"'
    if reading.type != "VARCHAR":
        filled = database.execute(f'SELECT count("{column}") {at}').fetchone()
        assert filled is not None
        return Column(column, title, letter, reading.type, filled[0], filled[0])
    counts = database.execute(
        f'SELECT count("{column}"), count(TRY_CAST("{column}" AS DOUBLE)), count(DISTINCT "{column}"), '
        f'max(length("{column}")) {at}'
    ).fetchone()
    assert counts is not None
    filled_, numbers, distinct, longest = counts
    values: list[tuple[str]] = []
    if 0 < distinct <= FEW_VALUES and longest <= SHORT_VALUE:
        values = database.execute(f'SELECT DISTINCT "{column}" {at} WHERE "{column}" IS NOT NULL ORDER BY 1').fetchall()
    return Column(column, title, letter, "VARCHAR", filled_, numbers, tuple(value for (value,) in values))
