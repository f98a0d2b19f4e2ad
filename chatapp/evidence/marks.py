"""Marks such as [3] in the text of an answer. Pure: knows no rows. Offsets count UTF-16 units, as JavaScript does."""

import re
from dataclasses import dataclass

from search.sentences import sentence_spans

_MARK = re.compile(r"\[(\d{1,4})\]")
_MARK_WITH_SPACE = re.compile(r"[ \t]?\[\d{1,4}\]")
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cited:
    """A sentence with the numbers that it names; `words` is the sentence without its marks."""

    start: int
    end: int
    words: str
    numbers: tuple[int, ...]


def numbers_in(text: str) -> list[int]:
    """The numbers named outside code, each once, in the order of first use."""
    return list(dict.fromkeys(int(mark[1]) for mark in _marks(text)))


def mark_spans(text: str) -> list[tuple[int, int, int]]:
    """Begin, end and number of every mark outside code, in characters."""
    return [(mark.start(), mark.end(), int(mark[1])) for mark in _marks(text)]


def cited_sentences(text: str) -> list[Cited]:
    """A mark belongs to the sentence that it stands in, or right behind."""
    found = [(mark.start(), int(mark[1])) for mark in _marks(text)]
    sentences = []
    for span in sentence_spans(text):
        numbers = tuple(dict.fromkeys(number for at, number in found if span.start <= at < span.end))
        words = _MARK_WITH_SPACE.sub("", text[span.start : span.end]).strip()
        if numbers and words:
            sentences.append(Cited(_utf16(text, span.start), _utf16(text, span.end), words, numbers))
    return sentences


def _marks(text: str) -> list[re.Match[str]]:
    code = [found.span() for found in _CODE.finditer(text)]
    return [mark for mark in _MARK.finditer(text) if not any(start <= mark.start() < end for start, end in code)]


def _utf16(text: str, index: int) -> int:
    return len(text[:index].encode("utf-16-le")) // 2
