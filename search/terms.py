"""Text as the terms that are looked up: folded, lightly stemmed, CJK in pairs. Pure; used for rows and for questions.

The terms are made here and not by PostgreSQL's parser, so that a row and a question agree in every language, and one
row may mix them. Letters lose case and accents (Größe -> grosse). CJK runs become overlapping pairs of characters, as
Lucene's CJKAnalyzer makes them: no dictionary, the same for Chinese, Japanese and Korean.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from search.sentences import CJK
from search.stopwords import STOPWORDS

_TOKEN = re.compile(rf"[{CJK}]+|\d+(?:[.,]\d+)+|[^\W_{CJK}]+")
_CJK_RUN = re.compile(rf"[{CJK}]")
_HIRAGANA = re.compile("[\u3040-\u309f]+")  # alone, hardly more than grammar
_SUFFIXES = ("ing", "ern", "ed", "en", "er", "em", "e", "n")
_STEM_LENGTH = 4  # what a suffix must leave
_MAX_POSITION = 16383  # PostgreSQL's own limit
_MAX_REPEATS = 8  # a term's further places in a passage say nothing new
_MAX_TERM = 64  # longer ones are hashes and base64


def fold(text: str) -> str:
    """Compatible forms unified, case and accents gone: ﬁ -> fi, Ä -> a, ß -> ss, ４ -> 4."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    if plain.isascii():
        return plain
    # Only Latin letters lose their marks: が is not か.
    decomposed = "".join(_unmarked(character) for character in plain)
    return unicodedata.normalize("NFC", decomposed)


def stem(word: str) -> str:
    """A folded word without its commonest endings (English, German, French). Short words and others stay."""
    if len(word) <= _STEM_LENGTH or not word.isascii() or not word.isalpha():
        return word
    if word.endswith("s") and len(word) > _STEM_LENGTH:
        word = word[:-1]
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _STEM_LENGTH:
            return word[: -len(suffix)]
    return word


def words(text: str) -> Iterator[str]:
    """Folded words as written: CJK runs whole, numbers with their separators."""
    return (match.group() for match in _TOKEN.finditer(fold(text)))


def terms(text: str) -> Iterator[str]:
    """What is looked up, in the order of the text."""
    for word in words(text):
        if _CJK_RUN.match(word):
            yield from _pairs(word)
        else:
            yield stem(word)[:_MAX_TERM]


def asked_terms(question: str) -> list[str]:
    """The terms of a question, each once: without stop words and pairs of hiragana, unless it has no others."""
    telling = [
        term
        for word in words(question)
        if word not in STOPWORDS
        for term in (_pairs(word) if _CJK_RUN.match(word) else [stem(word)[:_MAX_TERM]])
        if not _HIRAGANA.fullmatch(term)
    ]
    return list(dict.fromkeys(telling or terms(question)))


def is_word(term: str) -> bool:
    """Whether one may misspell it, or know it by a part: letters, four at least, not CJK."""
    return len(term) >= 4 and term.isalpha() and not _CJK_RUN.match(term)


def vector_literal(headings: Sequence[str], text: str) -> str:
    """The passage as a tsvector's text form: headings weigh A, the text D."""
    places: dict[str, list[str]] = {}
    _place(places, terms(" \n".join(headings)), "A", 1)
    _place(places, terms(text), "", 1)
    return " ".join(f"'{term}':{','.join(spots)}" for term, spots in places.items())


def _place(places: dict[str, list[str]], found: Iterable[str], weight: str, first: int) -> None:
    for position, term in enumerate(found, first):
        spots = places.setdefault(term, [])
        if len(spots) < _MAX_REPEATS:
            spots.append(f"{min(position, _MAX_POSITION)}{weight}")


def _pairs(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    yield from (run[index : index + 2] for index in range(len(run) - 1))


def _unmarked(character: str) -> str:
    base = unicodedata.normalize("NFD", character)[0]
    return base if base.isascii() else character
