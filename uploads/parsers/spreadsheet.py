"""Spreadsheets (xlsx, xlsm, xls, ods), by calamine: tables of 40 rows with their header repeated and their range.

Values as the file holds them: formulas were computed by the program that saved it, and no macro runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum

from uploads.document import Block, Event, Progress, Source, Started, Unparsable
from uploads.parsers.archive import checked
from uploads.parsers.cells import in_words, range_of
from uploads.parsers.outline import Outline
from uploads.parsers.percent import percent_cells
from uploads.parsers.rows import ROWS_A_BLOCK, is_header, text_of
from uploads.place import Place

# More than this is no header any more.
MAX_HEADER_ROWS = 3
XLS = "application/vnd.ms-excel"


@dataclass(frozen=True, slots=True)
class Row:
    """`index` from 0, as the library counts."""

    index: int
    words: list[str]

    @property
    def filled(self) -> list[int]:
        return [column for column, word in enumerate(self.words) if word]


def parse(source: Source) -> Iterator[Event]:
    workbook = opened(source)
    names = [sheet.name for sheet in workbook.sheets_metadata if sheet.typ is SheetTypeEnum.WorkSheet]
    if len(names) > source.limits.max_pages:
        raise Unparsable("too_many_pages")
    yield Started("sheet", len(names))
    for number, name in enumerate(names, 1):
        percents = percent_cells(source.path, name) if source.media_type != XLS else frozenset()
        yield from _sheet(workbook.get_sheet_by_name(name), percents)
        yield Progress(number)


def opened(source: Source) -> CalamineWorkbook:
    """The workbook, where its archive is no bomb and has no password. Raises Unparsable."""
    if source.media_type != XLS:
        checked(source)
    try:
        return CalamineWorkbook.from_path(str(source.path))
    except PasswordError as error:
        raise Unparsable("encrypted") from error
    except CalamineError as error:
        raise Unparsable("broken") from error


def _sheet(sheet: CalamineSheet, percents: frozenset[tuple[int, int]]) -> Iterator[Block]:
    table = _Table(sheet.name, (sheet.start or (0, 0))[1], _merged(sheet))
    region: list[Row] = []
    for index, values in enumerate(sheet.iter_rows()):
        words = [
            in_words(value, (index, table.left + column) in percents) if value != "" else ""
            for column, value in enumerate(values)
        ]
        row = Row(index, words)
        if row.filled:
            region.append(row)
        elif region:
            yield from table.blocks(region)
            region = []
    if region:
        yield from table.blocks(region)


def _merged(sheet: CalamineSheet) -> dict[tuple[int, int], int]:
    """Where a cell goes over several columns: its row and first column -> its last column."""
    ranges = sheet.merged_cell_ranges or []
    return {first: last[1] for first, last in ranges if last[1] > first[1]}


class _Table:
    """The rows of one sheet between two empty ones: titles above, a header of up to three rows, the rest."""

    def __init__(self, sheet: str, left: int, merged: dict[tuple[int, int], int]) -> None:
        self.left = left
        self._sheet = sheet
        self._merged = merged
        self._outline = Outline(sheet)

    def blocks(self, region: list[Row]) -> Iterator[Block]:
        while len(region) > 1 and len(region[0].filled) == 1 < len(region[1].filled):
            title, *region = region
            column = title.filled[0]
            yield Block("heading", title.words[column], self._place([title], column, column), self._outline.path)
            self._outline.enter(1, title.words[column])
        first = min(row.filled[0] for row in region)
        last = max(row.filled[-1] for row in region)
        num = self._num_header_rows(region)
        header = self._header(region[:num], first, last) if num else None
        body = region[num:] or region
        for start in range(0, len(body), ROWS_A_BLOCK):
            piece = body[start : start + ROWS_A_BLOCK]
            text = text_of(header if body is not region else None, [row.words[first : last + 1] for row in piece])
            yield Block("table", text, self._place(piece, first, last), self._outline.path)

    def _num_header_rows(self, region: list[Row]) -> int:
        num = 0
        while num < min(MAX_HEADER_ROWS, len(region)) and is_header(region[num].words) and len(region[num].filled) > 1:
            num += 1
            if not any(
                (region[num - 1].index, self.left + column) in self._merged for column in region[num - 1].filled
            ):
                break
        return num

    def _header(self, rows: list[Row], first: int, last: int) -> list[str]:
        """One name a column: a cell over several of them stands before the name of each."""
        names: list[list[str]] = [[] for _ in range(first, last + 1)]
        for row in rows:
            for column in row.filled:
                end = self._merged.get((row.index, self.left + column), self.left + column) - self.left
                for covered in range(column, min(end, last) + 1):
                    names[covered - first].append(row.words[column])
        return [" ".join(parts) for parts in names]

    def _place(self, rows: list[Row], first: int, last: int) -> Place:
        area = range_of(rows[0].index, self.left + first, rows[-1].index, self.left + last)
        return {"kind": "cells", "sheet": self._sheet, "range": area}
