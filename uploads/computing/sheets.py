"""The sheets of a file, row by row, each with its number: calamine for workbooks, Python's own reader for csv.

Values as the file holds them: formulas were computed by the program that saved it, and no macro runs.
"""

import csv
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from python_calamine import CalamineError, CalamineSheet, SheetTypeEnum

from uploads.document import Source, Unparsable
from uploads.parsers.charset import encoding_of
from uploads.parsers.delimited import FIELD_CHARACTERS, SAMPLE_LINES, delimiter_of
from uploads.parsers.spreadsheet import opened

Value: TypeAlias = (
    "int | float | str | bool | datetime.time | datetime.date | datetime.datetime | datetime.timedelta | None"
)

TEXTS = frozenset({"text/csv", "text/tab-separated-values"})


@dataclass(frozen=True, slots=True)
class Row:
    """`number` as the sheet counts, from 1; in a text it is the line it begins with."""

    number: int
    values: list[Value]

    @property
    def is_blank(self) -> bool:
        return self.values.count(None) == len(self.values)

    @property
    def filled(self) -> list[int]:
        return [column for column, value in enumerate(self.values) if value is not None]


@dataclass(frozen=True, slots=True)
class Sheet:
    """`left` is the number of the first column. `is_typed` is False where all values are texts as they were written."""

    name: str
    left: int
    is_typed: bool
    rows: Iterator[Row]


def sheets_of(source: Source) -> Iterator[Sheet]:
    """Raises Unparsable."""
    if source.media_type in TEXTS:
        yield _text(source)
    else:
        yield from _workbook(source)


def _workbook(source: Source) -> Iterator[Sheet]:
    workbook = opened(source)
    for meta in workbook.sheets_metadata:
        if meta.typ is SheetTypeEnum.WorkSheet:
            try:
                sheet = workbook.get_sheet_by_name(meta.name)
            except CalamineError as error:
                raise Unparsable("broken") from error
            yield Sheet(meta.name, (sheet.start or (0, 0))[1] + 1, True, _rows(sheet))


def _rows(sheet: CalamineSheet) -> Iterator[Row]:
    for number, values in enumerate(sheet.iter_rows(), 1):
        yield Row(number, [None if value == "" else value for value in values])


def _text(source: Source) -> Sheet:
    return Sheet("", 1, False, _lines(source))


def _lines(source: Source) -> Iterator[Row]:
    csv.field_size_limit(FIELD_CHARACTERS)
    encoding = encoding_of(source.path)
    with source.path.open(encoding=encoding.name, errors="replace", newline="") as file:
        tabs = source.media_type == "text/tab-separated-values"
        delimiter = "\t" if tabs else delimiter_of(islice(file, SAMPLE_LINES))
        file.seek(0)
        reader = csv.reader((line.replace("\0", "") for line in file), delimiter=delimiter)
        first = 1
        try:
            for cells in reader:
                yield Row(first, [cell.strip() or None for cell in cells])
                first = reader.line_num + 1
        except csv.Error as error:
            raise Unparsable("broken") from error
