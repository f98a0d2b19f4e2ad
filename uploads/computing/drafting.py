"""A sheet cut into its tables, each written to a file that DuckDB loads: titles, a header, rows until the next header.

Streams: a sheet of a million rows is never held. Knows no DuckDB.
"""

import csv
import datetime
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from pathlib import Path

from uploads.computing.sheets import Row, Sheet, Value

# What stands further right is left out, and counted. Loading takes two blocks of 256 KiB a column: 1,000 were too many.
MAX_WIDTH = 400
HEAD_ROWS = 4  # looked at to find where the values begin
NUMBER = re.compile(r"[-+(]?[\d.,'\s]*\d[\d.,'\s]*[)%]?\s*\S{0,3}")
YEAR = re.compile(r"(?:19|20)\d\d")
LARGEST_WHOLE = 2**53  # above this a float no longer counts one by one
TOTAL = re.compile(
    r"(?i)((grand |sub-?|sous-)?totals?|sum|(zwischen|gesamt)?summen?|gesamt|somme)\b|合计|总计|小计|合計|総計|小計"
)


@dataclass(slots=True)
class Draft:
    """One table while it is gathered. `kinds`: for each column what its values are, where the file says it."""

    path: Path
    sheet: Sheet
    title: str
    header: Row | None
    names: list[str]
    kinds: list[set[str]] = field(default_factory=list)
    first_row: int = 0
    last_row: int = 0
    num_rows: int = 0
    num_cells: int = 0
    widest: int = 0
    totals: list[int] = field(default_factory=list)

    def extend(self, rows: Iterable[Row]) -> None:
        with self.path.open("a", encoding="utf-8", newline="") as file:
            if self.sheet.is_typed:
                file.writelines(self._line(row) for row in rows)
            else:
                csv.writer(file, lineterminator="\n").writerows(self._words(row) for row in rows)

    @property
    def has_numbers(self) -> bool:
        """Or days, or anything else that no header is made of."""
        return any(kinds - {"text"} for kinds in self.kinds)

    def _line(self, row: Row) -> str:
        values = self._count(row)
        for kinds, value in zip(self.kinds, values, strict=False):
            if value is not None:
                kinds.add(kind_of(value))
        return ",".join([str(row.number), *map(quoted, values)]) + "\n"

    def _words(self, row: Row) -> list[Value]:
        """Of a text, where nothing is known of a word but that it is one.

        A million rows of five words, with all that follows: 18 s -> 5 s of one core.
        """
        return [row.number, *self._count(row)]

    def _count(self, row: Row) -> list[Value]:
        """Its values, as many as are taken."""
        self.first_row = self.first_row or row.number
        self.last_row = row.number
        self.num_rows += 1
        self.num_cells += len(row.values)
        self.widest = max(self.widest, len(row.values))
        values = row.values[:MAX_WIDTH]
        while len(self.kinds) < len(values):
            self.kinds.append(set() if self.sheet.is_typed else {"text"})
        if is_total(row):
            self.totals.append(row.number)
        return values


def drafts_of(sheet: Sheet, folder: Path, prefix: str) -> Iterator[Draft]:
    """The tables of a sheet from the top. Each is whole when the next is asked for."""
    draft: Draft | None = None
    title, number = "", 0
    for is_blank, island in groupby(sheet.rows, key=lambda row: row.is_blank):
        if is_blank:
            continue
        rows = iter(island)
        head = list(islice(rows, HEAD_ROWS))
        if len(head) == 1 and len(head[0].filled) == 1 and sheet.is_typed:
            title = said(head[0].values[head[0].filled[0]])  # a title with space below it, or a remark
            continue
        titles, header, names, body = opening(head, sheet.is_typed)
        if draft is None or (sheet.is_typed and header and (titles or draft.has_numbers or has_numbers(body))):
            if draft is not None:
                yield draft
            number += 1
            draft = Draft(folder / f"{prefix}-{number}.csv", sheet, " ".join(titles) or title, header, names)
            draft.extend(chain(body, rows))
        else:
            draft.extend(chain(head, rows))
        title = ""
    if draft is not None:
        yield draft


def opening(head: list[Row], is_typed: bool) -> tuple[list[str], Row | None, list[str], list[Row]]:
    """Titles above a table, its header row, a name a column, and the rows that are values already."""
    titles = []
    while is_typed and len(head) > 1 and len(head[0].filled) == 1 < len(head[1].filled):
        titles.append(said(head[0].values[head[0].filled[0]]))
        head = head[1:]
    if is_upper_header(head):
        return titles, head[1], joined(head[0], head[1]), head[2:]
    if is_header(head[0]):
        return titles, head[0], [said(value) for value in head[0].values], head[1:]
    return titles, None, [], head


def is_header(row: Row) -> bool:
    """Whether it names its columns: it holds words, and no number but years."""
    return holds_names(row) and any(not YEAR.fullmatch(said(row.values[column])) for column in row.filled)


def is_upper_header(head: list[Row]) -> bool:
    """Whether two rows name the columns: names over several columns, and below them one for each."""
    if len(head) < 3 or not 1 < len(head[0].filled) < len(head[1].filled):
        return False
    return holds_names(head[0]) and is_header(head[1]) and not is_header(head[2])


def holds_names(row: Row) -> bool:
    return all(is_name(row.values[column]) for column in row.filled)


def is_name(value: Value) -> bool:
    if isinstance(value, bool | datetime.date | datetime.time | datetime.timedelta):
        return False
    return YEAR.fullmatch(said(value)) is not None or NUMBER.fullmatch(said(value).strip()) is None


def has_numbers(rows: list[Row]) -> bool:
    return any(kind_of(row.values[column]) != "text" for row in rows for column in row.filled)


def joined(upper: Row, lower: Row) -> list[str]:
    """A header of two rows: what stands over several columns is said before the name of each."""
    names, above = [], ""
    for over, under in zip(upper.values, lower.values, strict=False):
        above = said(over) or above
        names.append(f"{above} {said(under)}".strip())
    return names


def is_total(row: Row) -> bool:
    first = row.values[0]
    if first is None:
        first = next((value for value in row.values if value is not None), None)
    return type(first) is str and TOTAL.match(first) is not None


def kind_of(value: Value) -> str:
    match value:
        case str():
            return "text"
        case bool():
            return "truth"
        case int():
            return "whole"
        case float():
            return "whole" if value.is_integer() and abs(value) < LARGEST_WHOLE else "number"
        case datetime.datetime():
            return "moment"
        case datetime.date():
            return "day"
        case datetime.time():
            return "time"
        case datetime.timedelta():
            return "span"
        case _:
            return "text"


TYPES = (
    ({"truth"}, "BOOLEAN"),
    ({"whole"}, "BIGINT"),
    ({"whole", "number"}, "DOUBLE"),
    ({"day"}, "DATE"),
    ({"day", "moment"}, "TIMESTAMP"),
    ({"time"}, "TIME"),
    ({"time", "span"}, "INTERVAL"),
)


def type_of(kinds: set[str]) -> str:
    """The narrowest that holds all; a column of several sorts is text."""
    return next((name for those, name in TYPES if kinds and kinds <= those), "VARCHAR")


def said(value: Value) -> str:
    """In words that DuckDB reads back as the same value."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return str(int(value)) if kind_of(value) == "whole" else repr(value)
        case datetime.datetime():
            return value.isoformat(sep=" ")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            seconds = round(value.total_seconds())
            return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        case _:
            return str(value)


def quoted(value: Value) -> str:
    """Nothing at all for an empty cell, which DuckDB reads as NULL."""
    return "" if value is None else '"' + said(value).replace('"', '""').replace("\0", "") + '"'
