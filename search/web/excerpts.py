"""The part of a text that is shown for it: whole sentences, centred on what matched. Pure."""

from collections.abc import Sequence

from search.sentences import Span, sentence_spans
from search.terms import asked_terms, terms

SIZE = 320  # characters


def excerpt(text: str, question: str, size: int = SIZE) -> str:
    """At most `size` characters of `text` as they stand there; an ellipsis where something is left out."""
    if len(text) <= size:
        return text
    spans = list(sentence_spans(text))
    if not spans:
        return text[:size]
    first, last = _widened(spans, _centre(text, spans, question), size)
    start, end = spans[first].start, min(spans[last].end, spans[first].start + size)
    return ("… " if start else "") + text[start:end] + (" …" if end < len(text.rstrip()) else "")


def _centre(text: str, spans: Sequence[Span], question: str) -> int:
    asked = set(asked_terms(question))
    return max(
        range(len(spans)), key=lambda place: len(asked & set(terms(text[spans[place].start : spans[place].end])))
    )


def _widened(spans: Sequence[Span], centre: int, size: int) -> tuple[int, int]:
    """One sentence after, one before, and so on while they fit."""
    first = last = centre
    while True:
        if last + 1 < len(spans) and spans[last + 1].end - spans[first].start <= size:
            last += 1
        elif first and spans[last].end - spans[first - 1].start <= size:
            first -= 1
        else:
            return first, last
        if first and last - centre > centre - first and spans[last].end - spans[first - 1].start <= size:
            first -= 1
