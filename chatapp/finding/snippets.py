"""The part of a text that shows what was asked for, as pieces that are marked or not. Pure.

Pieces are plain text: a template escapes them. The signs of Markdown are left out, so that a line of results reads as
a line; tags of HTML are what somebody wrote, and stay as text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice

from chatapp.finding.lexemes import is_unspaced, plain
from chatapp.finding.question import Asked

LENGTH = 220  # characters: two lines of the dialog
BEFORE = 40  # of them in front of the first marked word
_MOST_MATCHES = 400  # looked at in one text, to choose where to cut
_WORD_END = 16  # a cut moves at most so far to stand between words

_CODE_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n`]*$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*(?:\s\"[^\"]*\")?\)")
_LINE_SIGNS = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+][ \t]+)+", re.MULTILINE)
_STRONG = re.compile(r"\*\*|__(?=\w)|(?<=\w)__|~~|`+")
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?=\S)([^*_\n]*\S)\1(?![\w*])")
_SPACE = re.compile(r"\s")
_LIGATURES = {"ss": "ß", "ae": "æ", "oe": "œ", "th": "þ"}
_BEGUN = {"s": "[sß]", "a": "[aæ]", "o": "[oœ]", "t": "[tþ]"}  # a beginning may end within such a letter
_PARTS = re.compile("|".join([*_LIGATURES, "."]), re.DOTALL)
_MARK = "\u0301"  # stands for every mark on a letter, and for what is invisible between letters
_MARK_HERE = f"{_MARK}*"
_TABLE = re.compile(r"\|?[ \t]*:?-{3,}:?[ \t]*\|?|[ \t]*\|[ \t]*")


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    is_marked: bool


def snippet(text: str, asked: Sequence[Asked]) -> list[Piece]:
    """The stretch in which most of the asked words stand near one another; the beginning where none is found."""
    pattern = _pattern(tuple(asked))
    start = max(0, _best_place(_shadow(text), pattern) - BEFORE)
    start = _at_word(text, start)
    stretch = text[start : start + 2 * LENGTH]  # what Markdown takes of it is made up for
    shown = " ".join(without_signs(stretch).split())
    line = shown[:LENGTH].rstrip()
    is_cut = len(shown) > LENGTH or start + 2 * LENGTH < len(text)
    return list(_pieces(f"{'…' if start else ''}{line}{'…' if is_cut else ''}", pattern))


def marked(text: str, asked: Sequence[Asked]) -> list[Piece]:
    """All of a short text."""
    return list(_pieces(text, _pattern(tuple(asked))))


def shows(pieces: Sequence[Piece]) -> bool:
    return any(piece.is_marked for piece in pieces)


def without_signs(text: str) -> str:
    text = _CODE_FENCE.sub(" ", text)
    text = _LINK.sub(r"\1", text)
    text = _LINE_SIGNS.sub("", text)
    text = _STRONG.sub("", text)
    text = _EMPHASIS.sub(r"\2", text)
    return _TABLE.sub(" ", text)


def _shadow(text: str) -> str:
    """The text as it is looked through: letter by letter plain, every letter in its place."""
    if text.isascii():
        return text.lower()
    lower = text.replace("İ", "i").lower()
    assert len(lower) == len(text), "İ is the only letter that grows"
    return lower.translate(_one_for_one())


@cache
def _one_for_one() -> dict[int, str]:
    """Letters that become one other letter, and marks, which become a mark."""
    blocks = (range(0xA0, 0x250), range(0x300, 0x530), range(0x590, 0x6E0), range(0x900, 0x1200), range(0x1780, 0x17E0))
    more = (range(0x1E00, 0x2000), range(0x200B, 0x2070), range(0xFF01, 0xFF9F))
    table = {}
    for code in (code for block in (*blocks, *more) for code in block):
        same = plain(chr(code))
        if len(same) <= 1 and same != chr(code):
            table[code] = same or _MARK
    return table


def _best_place(shadow: str, pattern: re.Pattern[str]) -> int:
    """Where a stretch begins that holds the most different words of those asked, the first of the best."""
    places: list[tuple[int, int]] = []
    best, best_start = 0, 0
    for match in islice(pattern.finditer(shadow), _MOST_MATCHES):
        places.append((match.start(), match.lastindex or 0))
        while places[-1][0] - places[0][0] > LENGTH - BEFORE:
            places.pop(0)
        num_words = len({word for _start, word in places})
        if num_words > best:
            best, best_start = num_words, places[0][0]
    return best_start


def _at_word(text: str, start: int) -> int:
    """Moved on to the next space, where one is near."""
    if start == 0:
        return 0
    space = _SPACE.search(text, start, start + _WORD_END)
    return space.end() if space else start


def _pieces(text: str, pattern: re.Pattern[str]) -> Iterator[Piece]:
    end = 0
    for match in pattern.finditer(_shadow(text)):
        if match.start() > end:
            yield Piece(text[end : match.start()], False)
        yield Piece(text[match.start() : match.end()], True)
        end = match.end()
    if end < len(text):
        yield Piece(text[end:], False)


@lru_cache(256)
def _pattern(asked: tuple[Asked, ...]) -> re.Pattern[str]:
    """A group for each word, so that a match says which it is."""
    groups = [f"({'|'.join(dict.fromkeys(_alternatives(each)))})" for each in asked]
    return re.compile("|".join(groups) or "(?!)")


def _alternatives(asked: Asked) -> Iterator[str]:
    for mark in asked.marks:
        letters = _MARK_HERE.join(_letters(mark))
        if is_unspaced(mark):
            yield letters
        else:
            article = "(?:\u0648?\u0627\u0644)?" if "\u0600" < mark < "\u0700" else ""
            ending = rf"(?:[^\W\d_]|{_MARK}){{0,3}}(?!\w)" if asked.is_whole else rf"[\w{_MARK}]*"
            yield rf"(?<![^\W_]){article}{letters}{_MARK_HERE}{ending}"


def _letters(mark: str) -> list[str]:
    """Each letter, or pair of letters that may be written as one."""
    parts = _PARTS.findall(mark)
    return [
        f"(?:{part}|{_LIGATURES[part]})" if part in _LIGATURES else _BEGUN.get(part, re.escape(part)) for part in parts
    ]
