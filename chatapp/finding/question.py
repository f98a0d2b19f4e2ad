"""What somebody types, as what is looked up. Pure: knows no row and no right.

Every word must be in the message. The last one may be a beginning: it is still being typed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from chatapp.finding.lexemes import MAX_LEXEME, is_unspaced, may_be_misspelt, pieces, without_article, written_words
from search.stopwords import STOPWORDS
from search.terms import stem

MAX_WORDS = 10
_BEGINNING = 2  # letters: one letter begins too much
_PREFIX_LENGTH = 6  # a stem this long also finds the longer words that begin with it
_ROOT = 5  # letters of a word whose endings are not known to `stem`: it is looked up without its last one or two


@dataclass(frozen=True, slots=True)
class Asked:
    """One word: its tsquery, and the beginnings (plain) that it is marked by in a text.

    `is_whole`: hardly more than an ending may follow such a beginning.
    """

    word: str
    query: str
    marks: tuple[str, ...]
    is_whole: bool = False

    @property
    def may_be_misspelt(self) -> bool:
        return may_be_misspelt(self.word)


def asked_words(text: str) -> list[Asked]:
    """Without stop words, unless there are no others."""
    every = list(dict.fromkeys(written_words(text)))
    typed = every[-1] if every and not text[-1:].isspace() else None
    telling = [word for word in every if word not in STOPWORDS] or every
    return [_asked(word[:MAX_LEXEME], is_typed=word == typed) for word in telling[:MAX_WORDS]]


def or_near(asked: Asked, near: Iterable[str]) -> Asked:
    """The word itself, or one of those that it may have been meant to be."""
    words = [word for word in near if word != asked.word]
    queries = [asked.query, *(_quoted(word) for word in words)]
    return replace(asked, query=" | ".join(queries), marks=(*asked.marks, *words))


def all_of(asked: Sequence[Asked]) -> str:
    return " & ".join(f"({each.query})" for each in asked)


def _asked(word: str, *, is_typed: bool) -> Asked:
    if is_unspaced(word):
        return _run(word)
    known = stem(word)
    if is_typed and len(word) >= _BEGINNING:
        root = _root(word)
        queries = dict.fromkeys((_quoted(known), _quoted(root) + ":*"))
        return Asked(word, " | ".join(queries), (root, known))
    if not word.isalpha():
        return Asked(word, _quoted(word), (word,), is_whole=True)
    root = _root(word)
    if root != word:
        return Asked(word, f"{_quoted(root)}:*", (root,))
    if len(known) >= _PREFIX_LENGTH:
        return Asked(word, f"{_quoted(known)}:*", (known,))
    return Asked(word, _quoted(known), (known,), is_whole=True)


def _run(word: str) -> Asked:
    pairs = pieces(word)
    if len(word) == 1:
        return Asked(word, f"{_quoted(word)}:*", (word,))
    return Asked(word, " & ".join(_quoted(pair) for pair in pairs), (word, *pairs))


def _root(word: str) -> str:
    """Russian, Greek, Arabic: what the word's forms have in common, roughly."""
    if word.isascii() or not word.isalpha():
        return word
    bare = without_article(word)
    if len(bare) < _ROOT:
        return bare
    return bare[: max(_ROOT - 1, len(bare) - 2)]


def _quoted(lexeme: str) -> str:
    """Lexemes are letters, digits and their separators: nothing that a tsquery would take for its own."""
    assert "'" not in lexeme and "\\" not in lexeme
    return f"'{lexeme}'"
