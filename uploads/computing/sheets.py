"""The sheets of a file, row by row, each with its number: calamine for workbooks, Python's own reader for csv.

Values as the file holds them: formulas were computed by the program that saved it, and no macro runs.
"""

import csv
import datetime
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from charset_normalizer import from_bytes
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum

from uploads.document import Source, Unparsable

Value: TypeAlias = (
    "int | float | str | bool | datetime.time | datetime.date | datetime.datetime | datetime.timedelta | None"
)

TEXTS = frozenset({"text/csv", "text/tab-separated-values"})
# The comma last: where numbers have decimal commas, it cuts every line as evenly as the semicolon does.
DELIMITERS = ";\t|,"
SAMPLE_LINES = 50
SAMPLE_BYTES = 1 << 16
FIELD_CHARACTERS = 1_000_000
BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# Of the hundred it knows, those that people's files come in: a short text fits too many of the others.
PLAUSIBLE = ["cp1252", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1251", "koi8_r", "cp1250", "cp1253"]


@dataclass(frozen=True, slots=True)
class Row:
    """`number` as the sheet counts, from 1; in a text it is the line it begins with."""

    number: int
    values: list[Value]

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
    try:
        workbook = CalamineWorkbook.from_path(str(source.path))
        for meta in workbook.sheets_metadata:
            if meta.typ is SheetTypeEnum.WorkSheet:
                sheet = workbook.get_sheet_by_name(meta.name)
                yield Sheet(meta.name, (sheet.start or (0, 0))[1] + 1, True, _rows(sheet))
    except PasswordError as error:
        raise Unparsable("encrypted") from error
    except CalamineError as error:
        raise Unparsable("broken") from error


def _rows(sheet: CalamineSheet) -> Iterator[Row]:
    for number, values in enumerate(sheet.iter_rows(), 1):
        yield Row(number, [None if value == "" else value for value in values])


def _text(source: Source) -> Sheet:
    return Sheet("", 1, False, _lines(source))


def _lines(source: Source) -> Iterator[Row]:
    csv.field_size_limit(FIELD_CHARACTERS)
    with source.path.open(encoding=_encoding(source), errors="replace", newline="") as file:
        tabs = source.media_type == "text/tab-separated-values"
        delimiter = "\t" if tabs else _delimiter(list(islice(file, SAMPLE_LINES)))
        file.seek(0)
        reader = csv.reader((line.replace("\0", "") for line in file), delimiter=delimiter)
        first = 1
        try:
            for cells in reader:
                yield Row(first, [cell.strip() or None for cell in cells])
                first = reader.line_num + 1
        except csv.Error as error:
            raise Unparsable("broken") from error


def _encoding(source: Source) -> str:
    """UTF-8 is tried on the whole file, since a first umlaut may stand a megabyte down."""
    with source.path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    for bom, name in BOMS:
        if head.startswith(bom):
            return name
    at = _first_not_utf8(source)
    if at is None:
        return "utf-8"
    with source.path.open("rb") as file:
        file.seek(max(0, at - SAMPLE_BYTES // 2))
        best = from_bytes(file.read(SAMPLE_BYTES), cp_isolation=PLAUSIBLE).best()
    return best.encoding if best else "cp1252"


def _first_not_utf8(source: Source) -> int | None:
    position = 0
    with source.path.open("rb") as file:
        for line in file:
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return position + error.start
            position += len(line)
    return None


def _delimiter(sample: list[str]) -> str:
    """The one that cuts most lines into the same number of fields, more than one."""

    def regularity(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(row) for row in csv.reader(sample, delimiter=delimiter) if row)
        width, num = widths.most_common(1)[0] if widths else (0, 0)
        return (num, width) if width > 1 else (0, 0)

    best = max(DELIMITERS, key=regularity)
    return best if regularity(best) > (0, 0) else ","
