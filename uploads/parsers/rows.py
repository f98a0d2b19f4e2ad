"""Rows of a table as text: one line a row, cells separated by tabs, the header repeated in every piece."""

import re
from collections.abc import Iterable, Sequence

ROWS_A_BLOCK = 40


def line_of(cells: Iterable[str]) -> str:
    return "\t".join(" ".join(cell.split()) for cell in cells).rstrip("\t")


def text_of(header: Sequence[str] | None, rows: Iterable[Sequence[str]]) -> str:
    lines = [line_of(row) for row in rows]
    return "\n".join([line_of(header), *lines] if header else lines)


def is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+(]?[\d.,'\s]*\d[\d.,'\s]*[)%]?\s*\S{0,3}", cell.strip()) is not None


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first row names its columns: it holds words, and no number but years."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    numbers = [cell for cell in filled if is_number(cell)]
    return len(filled) > len(numbers) and all(re.fullmatch(r"(?:19|20)\d\d", number) for number in numbers)
