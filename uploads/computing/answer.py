"""What is said of a spreadsheet as tables, and what a query over them gave. Knows no library, no process, no Django."""

from dataclasses import dataclass
from typing import Literal

from uploads.place import CellsPlace, LinesPlace

Scalar = str | int | float | bool | None
# Lines where the file is a text: csv has no sheets.
Area = CellsPlace | LinesPlace

RefusalCode = Literal[
    "mistake",  # the query cannot be understood: an unknown column, a slip in the syntax
    "not_allowed",  # anything but reading the tables: files, the network, settings, changes, two statements
    "timeout",
    "memory",
    "too_large",  # the sheets are too large to compute with
    "unreadable",  # no table can be had from the file
]

SPREADSHEETS = frozenset(
    {
        "text/csv",
        "text/tab-separated-values",
        "application/vnd.ms-excel",
        "application/vnd.ms-excel.sheet.macroenabled.12",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    }
)


@dataclass(frozen=True, slots=True)
class Column:
    """`name` as SQL says it, `title` as the sheet does; `values` are all of them where a text has but a few.

    `num_numbers` counts what could be read as a number in a column of text: a sum needs TRY_CAST there.
    """

    name: str
    title: str
    letter: str
    type: str
    num_filled: int
    num_numbers: int
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One table of one sheet. `first_row` and `last_row` are those of its values, as the sheet counts them.

    `totals`: rows that already hold sums of others, as far as their first word tells.
    """

    name: str
    sheet: str
    title: str
    header_row: int | None
    first_row: int
    last_row: int
    num_rows: int
    columns: tuple[Column, ...]
    sample: tuple[tuple[Scalar, ...], ...]
    totals: tuple[int, ...]
    num_columns_left_out: int = 0


@dataclass(frozen=True, slots=True)
class Tables:
    tables: tuple[Table, ...]
    num_left_out: int = 0


@dataclass(frozen=True, slots=True)
class Cells:
    """Where the values that a query read stand.

    `is_exact`: these rows and no others were read. False where that cannot be told (joins, subqueries, too many
    pieces): then `areas` are the whole of what the query may have looked at.
    """

    areas: tuple[Area, ...]
    num_rows: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Result:
    """`is_truncated`: there were more rows, or longer texts, than are given."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Scalar, ...], ...]
    is_truncated: bool
    cells: Cells


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer, in words that a model can act on. They may quote the query and the file."""

    code: RefusalCode
    words: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one query. `seconds` is its own time; the fence has a longer one for reading the file as well."""

    seconds: float = 10.0
    memory_bytes: int = 512 * 1024**2  # DuckDB's own; the fence bounds the process
    rows: int = 200
    text_characters: int = 500  # of one value
    result_characters: int = 40_000
    cells: int = 5_000_000  # of all sheets together


@dataclass(frozen=True, slots=True)
class Query:
    """`sql` None asks for the tables themselves."""

    sql: str | None
    bounds: Bounds
