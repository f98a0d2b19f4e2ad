"""CSV and TSV: tables of 40 rows with the header repeated, each with its lines. Streams.

The place is lines, not cells: the file has no sheet, and its name is not part of its bytes.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from uploads.document import Block, Event, Progress, Source, Started
from uploads.parsers.charset import encoding_of
from uploads.parsers.rows import ROWS_A_BLOCK, is_header, text_of

# The comma last: where numbers have decimal commas, it cuts every line as evenly as the semicolon does.
DELIMITERS = ";\t|,"
SAMPLE_LINES = 50
FIELD_CHARACTERS = 10_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """A quoted cell may go over several lines."""

    first: int
    last: int
    cells: list[str]


def parse(source: Source) -> Iterator[Event]:
    csv.field_size_limit(FIELD_CHARACTERS)
    encoding = encoding_of(source.path)
    yield Started("line", encoding.num_lines)
    with source.path.open(encoding=encoding.name, errors="replace", newline="") as file:
        delimiter = (
            "\t" if source.media_type == "text/tab-separated-values" else delimiter_of(islice(file, SAMPLE_LINES))
        )
        file.seek(0)
        yield from _tables(_rows(file, delimiter))
    yield Progress(encoding.num_lines)


def delimiter_of(lines: Iterable[str]) -> str:
    """The one that cuts most lines into the same number of fields, more than one."""
    sample = list(lines)

    def regularity(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(row) for row in csv.reader(sample, delimiter=delimiter) if row)
        width, num = widths.most_common(1)[0] if widths else (0, 0)
        return (num, width) if width > 1 else (0, 0)

    return max(DELIMITERS, key=regularity)


def _rows(lines: Iterable[str], delimiter: str) -> Iterator[Row]:
    reader = csv.reader((line.replace("\0", "") for line in lines), delimiter=delimiter)
    first = 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield Row(first, reader.line_num, cells)
        first = reader.line_num + 1


def _tables(rows: Iterator[Row]) -> Iterator[Event]:
    top = next(rows, None)
    if top is None:
        return
    header = top.cells if is_header(top.cells) else None
    piece = list(islice(rows, ROWS_A_BLOCK - (header is None)))
    if header is None or not piece:
        piece = [top, *piece]
    while piece:
        text = text_of(header if piece[0] is not top else None, [row.cells for row in piece])
        yield Block("table", text, {"kind": "lines", "first": piece[0].first, "last": piece[-1].last})
        yield Progress(piece[-1].last)
        piece = list(islice(rows, ROWS_A_BLOCK))
