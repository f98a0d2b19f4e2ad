"""Blocks of a running text as the panel shows them, with what a passage holds of them marked. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

_SURE = 20  # characters: a shorter piece of a passage may stand anywhere


class ShownBlock(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class PartRow:
    cells: tuple[str, ...]
    is_hit: bool


@dataclass(frozen=True, slots=True)
class Part:
    """`hit` is the place itself, between what stands before and after it in the same block."""

    kind: str
    before: str = ""
    hit: str = ""
    after: str = ""
    rows: tuple[PartRow, ...] = ()

    @property
    def is_hit(self) -> bool:
        return bool(self.hit) or any(row.is_hit for row in self.rows)


def parts_of(blocks: Iterable[ShownBlock], excerpt: str) -> Iterator[Part]:
    return (part_of(block.kind, block.text, excerpt) for block in blocks)


def part_of(kind: str, text: str, excerpt: str) -> Part:
    if kind == "table":
        rows = [line.split("\t") for line in text.split("\n")]
        return Part("table", rows=tuple(PartRow(tuple(row), _holds_row(excerpt, row)) for row in rows))
    start, end = shared(text, excerpt) or (0, 0)
    if start == end:
        return Part(kind, before=text)
    return Part(kind, text[:start], text[start:end], text[end:])


def shared(text: str, excerpt: str) -> tuple[int, int] | None:
    """Which part of a block the passage holds: all of it, or the sentences that it was cut to."""
    if not text.strip() or not excerpt.strip():
        return None
    if text.strip() in excerpt:
        return 0, len(text)
    for piece in sorted(excerpt.split("\n"), key=len, reverse=True):
        piece = piece.strip()
        if len(piece) > _SURE and (start := text.find(piece)) >= 0:
            return start, start + len(piece)
    start = text.find(excerpt.strip())
    return (start, start + len(excerpt.strip())) if start >= 0 else None


def _holds_row(excerpt: str, row: Sequence[str]) -> bool:
    return "\t".join(row) in excerpt


def shortened(text: str, size: int) -> str:
    """At most `size` characters of its beginning on one line, for a row of a list."""
    return " ".join(text[: 2 * size].split())[:size]
