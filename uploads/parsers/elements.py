"""What unstructured's partitioners found, as blocks that count their paragraphs under their headings.

Knows `unstructured` elements by their attributes only.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from lxml import etree, html

from uploads.document import Block, BlockKind
from uploads.parsers.outline import Outline
from uploads.parsers.rows import ROWS_A_BLOCK, text_of

KINDS: dict[str, BlockKind] = {"Table": "table", "CodeSnippet": "code"}
SKIPPED = {"PageBreak", "PageNumber"}
DOCUMENT_TITLE = "Title"


def blocks(elements: Iterable[Any], outline: Outline, numbers: Iterator[int] | None = None) -> Iterator[Block]:
    """`numbers`: paragraph numbers to take, where several texts make one document."""
    numbers = numbers or count(1)
    for element in elements:
        if element.category in SKIPPED or not element.text.strip():
            continue
        number = next(numbers)
        level = _level(element)
        if level is not None:
            above = outline.enter(level, element.text)
            yield Block("heading", element.text, {"kind": "paragraph", "paragraph": number}, above)
        elif element.category == "Table" and element.metadata.text_as_html:
            yield from table_blocks(rows_of(element.metadata.text_as_html), number, outline.path)
        else:
            kind = KINDS.get(element.category, "text")
            yield Block(kind, element.text, {"kind": "paragraph", "paragraph": number}, outline.path)


def table_blocks(rows: list[list[str]], number: int, headings: tuple[str, ...]) -> Iterator[Block]:
    """A long table in pieces, the first row repeated in each; they stand at one paragraph."""
    header, body = rows[:1], rows[1:]
    for start in range(0, max(len(body), 1), ROWS_A_BLOCK):
        text = text_of(None, header + body[start : start + ROWS_A_BLOCK])
        yield Block("table", text, {"kind": "paragraph", "paragraph": number}, headings)


def rows_of(table: str) -> list[list[str]]:
    """The cells of an HTML table; a cell over several columns is followed by empty ones."""
    rows = []
    for row in html.fromstring(table).iter("tr"):
        cells: list[str] = []
        for cell in row.iterchildren("td", "th"):
            cells += [" ".join(_text(cell).split())] + [""] * (_span(cell) - 1)
        rows.append(cells)
    return rows


def _text(cell: etree._Element) -> str:
    return " ".join(str(text) for text in cell.itertext())


def _span(cell: etree._Element) -> int:
    span = cell.get("colspan") or "1"
    return min(int(span), 100) if span.isdigit() else 1


def _level(element: Any) -> int | None:
    """How deep a heading is; None for all that only looks like one."""
    if element.category != "Title" or element.metadata.category_depth is None:
        return None
    if getattr(element.metadata, "style_name", None) == DOCUMENT_TITLE:
        return 0
    return int(element.metadata.category_depth) + 1
