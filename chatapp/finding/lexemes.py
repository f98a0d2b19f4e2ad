"""Text as the lexemes that a message is found by. Pure; used for rows and for questions.

search.terms makes them: folded, lightly stemmed, CJK in pairs. What people type into a search box asks for more: words
as they are written beside their stems, because a word still being typed is the beginning of the one and not of the
other; the last character of a CJK run alone, so that one character finds all its places; scripts whose letters carry
marks, and those without spaces.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from search.sentences import CJK
from search.terms import fold, stem, terms, words

MAX_LEXEME = 64  # longer ones are hashes and base64
MAX_BYTES = 800_000  # of one tsvector, which holds a megabyte

_CJK = re.compile(rf"[{CJK}]")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")  # Thai, Lao, Burmese, Khmer
_ARTICLE = re.compile("(?:\u0648?\u0627\u0644)(?=\\w{3})")  # al-, wal-
_INVISIBLE = "\u00ad\u0640\u200b\u200c\u200d\u2060\ufeff"  # soft hyphens, joiners, the Arabic stretching line
_ALIKE = {
    "ё": "е",
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "ð": "d",
    "ı": "i",
    "æ": "ae",
    "œ": "oe",
    "þ": "th",
    **dict.fromkeys("أإآٱ", "ا"),
    "ى": "ي",
    "ی": "ي",
    "ئ": "ي",
    "ؤ": "و",
    "ة": "ه",
    "ک": "ك",
}


def _marks() -> list[str]:
    every = (chr(code) for code in range(0x300, 0xFE30))
    return [character for character in every if unicodedata.category(character).startswith("M")]


def _greek() -> dict[str, str]:
    letters = (chr(code) for block in (range(0x370, 0x400), range(0x1F00, 0x2000)) for code in block)
    bases = {letter: unicodedata.normalize("NFD", letter)[0] for letter in letters}
    return {letter: base for letter, base in bases.items() if base != letter and base.isalpha()}


MARKS = "".join(_marks())
_PLAIN = str.maketrans({**dict.fromkeys(MARKS + _INVISIBLE, ""), **_ALIKE, **_greek()})


def plain(text: str) -> str:
    """Folded, and without what people leave out when they type: ё is е, أ is ا, vowel signs are nothing."""
    folded = fold(text)
    return folded if folded.isascii() else folded.translate(_PLAIN)


def written_words(text: str) -> Iterator[str]:
    """Words as written, plain; runs of scripts without spaces whole."""
    return words(plain(text))


def is_unspaced(word: str) -> bool:
    """Whether words of this script are not told apart by spaces."""
    return bool(_CJK.match(word) or _UNSPACED.match(word))


def pieces(word: str) -> list[str]:
    """Of a run without spaces: its pairs of characters, or the one that it is."""
    if _CJK.match(word):
        return list(terms(word))
    return [word[index : index + 2] for index in range(len(word) - 1)] or [word]


def without_article(word: str) -> str:
    """The Arabic word without its article; any other as it is."""
    return _ARTICLE.sub("", word, count=1) if _ARTICLE.match(word) else word


def lexemes(written: Iterable[str]) -> list[str]:
    """Of these words, each once, in their order; what lies beyond MAX_BYTES is left out."""
    found: dict[str, None] = {}
    size = 0
    for word in written:
        for lexeme in _of(word):
            if lexeme in found:
                continue
            size += len(lexeme.encode()) + 8
            if size > MAX_BYTES:
                return list(found)
            found[lexeme] = None
    return list(found)


def may_be_misspelt(word: str) -> bool:
    return 4 <= len(word) <= MAX_LEXEME and word.isalpha() and not is_unspaced(word)


def _of(word: str) -> Iterable[str]:
    if is_unspaced(word):
        return (*pieces(word), word[-1])
    cut = word[:MAX_LEXEME]
    return (stem(cut), cut, without_article(cut))
