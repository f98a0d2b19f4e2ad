"""Located blocks cut into passages: what is found, shown, cited and checked. Pure.

A passage is whole sentences of one section on one page, slide or sheet (a sentence that runs on to the next page is
finished first), about 150 words; tables go in groups of rows under their repeated header, code in whole lines.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from search.places import Place, joined, part_of_lines, part_of_rows, unit_of
from search.sentences import CJK, sentence_spans

# In words. The encoder reads 512 tokens: 180 words are about 260 in English, 400 in German with code in it.
TARGET = 130
MOST = 180
SCRAP = 40  # a last passage as small as this joins the one before it
_WINDOW = 4000  # characters that are more than any passage, whatever they are
_CJK_CHARACTER = re.compile(rf"[{CJK}]")
_CJK_WORDS = 0.5  # an ideograph is about half a word: 300 characters are a passage
_ENDED = re.compile(r"[.!?…:;。！？：；][\"'»”’)\]」』）]*\s*$")


class Located(Protocol):
    """A block as parsers make it, row or value."""

    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def headings(self) -> Sequence[str]: ...
    @property
    def place(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Cut:
    text: str
    headings: tuple[str, ...]
    place: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is never cut: a sentence, a line, a group of rows. `joint` is what stands before it in its passage."""

    text: str
    place: Place
    joint: str
    size: float
    is_open: bool = False  # the last of its block, and its sentence not finished


@dataclass(slots=True)
class _Passage:
    headings: tuple[str, ...]
    pieces: list[_Piece] = field(default_factory=list)
    is_table: bool = False  # takes nothing more

    @property
    def size(self) -> float:
        return sum(piece.size for piece in self.pieces)

    @property
    def unit(self) -> tuple[str, object]:
        return unit_of(self.pieces[0].place)

    def cut(self) -> Cut:
        text = "".join(piece.joint * bool(index) + piece.text for index, piece in enumerate(self.pieces))
        return Cut(text, self.headings, joined([piece.place for piece in self.pieces]))


def cut(blocks: Iterable[Located]) -> list[Cut]:
    """The passages of one source, in order. Blocks without text are left out."""
    passages: list[_Passage] = []
    heading: Located | None = None
    for block in blocks:
        if not block.text.strip():
            continue
        if heading and heading.text.strip() not in block.headings:
            _append(passages, heading)  # nothing stands under it
        heading = block if block.kind == "heading" else None
        if block.kind == "table":
            passages.extend(_table_passages(block))
        elif block.kind != "heading":
            _append(passages, block)
    if heading:
        _append(passages, heading)
    return [passage.cut() for passage in _without_scraps(passages)]


def size_of(text: str) -> float:
    """Length in words; an ideograph is half a one, and so are five characters of what has no spaces, as base64."""
    rest = _CJK_CHARACTER.sub(" ", text).split()
    num_cjk = len(_CJK_CHARACTER.findall(text))
    return num_cjk * _CJK_WORDS + max(len(rest), sum(map(len, rest)) / 10)


def _append(passages: list[_Passage], block: Located) -> None:
    headings = tuple(block.headings)
    for piece in _line_pieces(block) if block.kind == "code" else _sentence_pieces(block):
        last = passages[-1] if passages else None
        if last and _finishes(last, piece):
            last.pieces.append(replace(piece, joint="" if _CJK_CHARACTER.match(piece.text) else " "))
        elif last and _takes(last, headings, piece):
            last.pieces.append(piece)
        else:
            passages.append(_Passage(headings, [piece]))


def _finishes(passage: _Passage, piece: _Piece) -> bool:
    """The piece is the rest of a sentence that began on the page before."""
    last = passage.pieces[-1]
    return last.is_open and unit_of(piece.place)[0] == "page" and unit_of(piece.place) != unit_of(last.place)


def _takes(passage: _Passage, headings: tuple[str, ...], piece: _Piece) -> bool:
    if passage.is_table or passage.headings != headings or passage.unit != unit_of(piece.place):
        return False
    return passage.size < TARGET and passage.size + piece.size <= MOST


def _without_scraps(passages: Iterable[_Passage]) -> Iterator[_Passage]:
    held: _Passage | None = None
    for passage in passages:
        if held and passage.size <= SCRAP and _are_one(held, passage):
            held.pieces.extend(passage.pieces)
            continue
        if held:
            yield held
        held = passage
    if held:
        yield held


def _are_one(passage: _Passage, scrap: _Passage) -> bool:
    if passage.is_table or scrap.is_table or passage.size + scrap.size > MOST + SCRAP:
        return False
    return passage.headings == scrap.headings and passage.unit == scrap.unit


def _sentence_pieces(block: Located) -> Iterator[_Piece]:
    joint, end = "\n\n", 0
    spans = list(sentence_spans(block.text))
    for span in spans:
        is_last = span is spans[-1] and block.kind == "text" and not _ENDED.search(block.text)
        for first, last in _portions(block.text, span.start, span.end):
            text = block.text[first:last]
            # Only running text is open: a caption or a list item has no full stop either, and is short.
            is_open = is_last and last == span.end and size_of(text) > 8
            place = part_of_lines(block.place, block.text, first, last)
            yield _Piece(text, place, block.text[end:first] if end else joint, size_of(text), is_open)
            end = last


def _line_pieces(block: Located) -> Iterator[_Piece]:
    start = end = 0
    for line in block.text.splitlines(keepends=True):
        for first, last in _portions(block.text, start, start + len(line.rstrip())):
            place = part_of_lines(block.place, block.text, first, last)
            text = block.text[first:last]
            yield _Piece(text, place, block.text[end:first] if end else "\n\n", size_of(text))
            end = last
        start += len(line)


def _portions(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The span as it is, or, longer than a passage may be, cut at spaces and, without any, anywhere."""
    while size_of(text[start : min(end, start + _WINDOW)]) > MOST:
        furthest = _furthest(text, start, end)
        space = text.rfind(" ", start + (furthest - start) // 2, furthest)
        middle = space if space > start else furthest
        yield start, middle
        start = middle + (text[middle : middle + 1] == " ")
    if start < end:
        yield start, end


def _furthest(text: str, start: int, end: int) -> int:
    """The last place up to which the text still fits, found by halving."""
    low, high = start + 1, min(end, start + _WINDOW)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size_of(text[start:middle]) <= TARGET else (low, middle - 1)
    return low


def _table_passages(block: Located) -> Iterator[_Passage]:
    """Groups of rows, each under the header row; the place of each group is its own rows."""
    rows = [row for row in block.text.split("\n") if row.strip()]
    header = rows[0] if size_of(rows[0]) <= SCRAP else ""
    room = MOST - size_of(header)
    for first, last, text in _row_groups(rows, 1 if header else 0, room):
        # The first group shows its header where it stands.
        place = part_of_rows(block.place, len(rows), 0 if first == 1 and header else first, last)
        whole = "\n".join(part for part in (header, text) if part)
        yield _Passage(tuple(block.headings), [_Piece(whole, place, "", size_of(whole))], is_table=True)


def _row_groups(rows: Sequence[str], start: int, room: float) -> Iterator[tuple[int, int, str]]:
    """First row, last row and text of each group; a row longer than a passage is cut into several."""
    if start == len(rows):
        yield start, start, ""  # a header alone
    first, held, size = start, list[str](), 0.0
    for index in range(start, len(rows)):
        row_size = size_of(rows[index][:_WINDOW])
        if held and size + row_size > room:
            yield first, index - 1, "\n".join(held)
            first, held, size = index, [], 0.0
        if row_size > MOST:
            for begin, end in _portions(rows[index], 0, len(rows[index])):
                yield index, index, rows[index][begin:end]
            first = index + 1
            continue
        held.append(rows[index])
        size += row_size
    if held:
        yield first, len(rows) - 1, "\n".join(held)
