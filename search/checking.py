"""Whether a cited sentence is in its passages: by words, quantities, denials and, where given, nearness in meaning.

Pure. It looks for reasons to doubt, in this order: a quantity that the passage does not have, the opposite said, too
little in common. What it cannot doubt it calls supported; how often that is right is in docs/retrieval.md.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from search.numbers import Quantity, quantities
from search.polarity import is_opposite, is_turning
from search.sentences import CJK, sentences
from search.stopwords import STOPWORDS
from search.terms import fold, stem, words

Found = Literal["supported", "partly", "not_found"]
# How near in meaning a sentence is to each of some texts: cosines, as search.similarity makes them.
Similarity = Callable[[str, Sequence[str]], Sequence[float]]

# Tuned on one half of tests/search/claims.toml. Shares of the sentence's words; an agreeing quantity counts QUANTITY.
ENOUGH, SOME = 0.62, 0.34
QUANTITY = 0.18
# What a cosine beside NEAR adds to the share of words: other words, or another language, for the same thing. Less than
# NEAR takes something off: the same words for another thing.
NEAR, NEARNESS, FAR = 0.45, 1.6, -0.15
ALIGNED = 0.4  # of the words in one clause, before its denials are compared
_MARK = re.compile(r"\s*[\[【]\d{1,3}[\]】]|^\s*(?:[-*•]|\d{1,2}[.)])\s+")
_CLAUSE = re.compile(
    r"[，；、,;:](?=\s|[^\d\s])|\s[-–—]\s|\b(?:while|whereas|but|aber|wobei|während|sondern|mais|tandis)\b"
)
_CJK_WORD = re.compile(rf"[{CJK}]+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`best` is the index of the passage that comes nearest; None without passages."""

    found: Found
    best: int | None


def check(sentence: str, passages: Sequence[str], similarity: Similarity | None = None) -> Verdict:
    """Compares the sentence with each passage; the most favourable one decides."""
    claim = _Claim.of(_MARK.sub("", sentence))
    verdicts = [_compare(claim, passage, similarity) for passage in passages]
    if not verdicts:
        return Verdict("not_found", None)
    best = max(range(len(verdicts)), key=lambda index: (_ORDER[verdicts[index][0]], verdicts[index][1]))
    return Verdict(verdicts[best][0], best)


_ORDER: dict[Found, int] = {"not_found": 0, "partly": 1, "supported": 2}


@dataclass(frozen=True, slots=True)
class _Claim:
    text: str
    terms: frozenset[str]
    quantities: tuple[Quantity, ...]

    @classmethod
    def of(cls, text: str) -> "_Claim":
        return cls(text, frozenset(_telling(text)), tuple(quantities(text)))


def _compare(claim: _Claim, passage: str, similarity: Similarity | None) -> tuple[Found, float]:
    parts = sentences(passage) or [passage]
    nearest = _nearest(claim, parts, similarity)
    share = _share(claim.terms, _telling(passage))
    strength = share + (NEARNESS * max(FAR, nearest.cosine - NEAR) if similarity else 0.0)
    held = quantities(passage)
    agreeing = sum(any(each.agrees(other) for other in held) for each in claim.quantities)
    if agreeing < len(claim.quantities):
        return "not_found", strength
    strength += QUANTITY * min(agreeing, 2)
    if (nearest.share >= ALIGNED or nearest.cosine >= NEAR + 0.15) and is_opposite(claim.text, nearest.clause):
        return "not_found", strength
    return ("supported" if strength >= ENOUGH else "partly" if strength >= SOME else "not_found"), strength


@dataclass(frozen=True, slots=True)
class _Nearest:
    """The clauses of one sentence that have most in common with the claim."""

    clause: str
    share: float
    cosine: float


def _nearest(claim: _Claim, parts: Sequence[str], similarity: Similarity | None) -> _Nearest:
    cosines = list(similarity(claim.text, parts)) if similarity else [0.0] * len(parts)
    shares = [_share(claim.terms, _telling(part)) for part in parts]
    best = max(
        range(len(parts)),
        key=lambda index: (
            shares[index]
            + cosines[index]
            + 0.5 * _agree(claim, parts[index])
            + 0.1 * _share(frozenset(words(claim.text)), list(words(parts[index])))
        ),  # all words, where the telling ones tie
    )
    clause = max(_clauses(parts[best]), key=lambda clause: (_score(claim, clause), -len(clause)))
    return _Nearest(clause, shares[best], max(cosines))


def _score(claim: _Claim, clause: str) -> float:
    return round(_share(claim.terms, _telling(clause)) + 0.5 * _agree(claim, clause), 6)


def _agree(claim: _Claim, text: str) -> float:
    """The share of the claim's quantities that the text has."""
    held = quantities(text)
    agreeing = sum(any(each.agrees(other) for other in held) for each in claim.quantities)
    return agreeing / len(claim.quantities) if claim.quantities else 0.0


def _clauses(sentence: str) -> Iterator[str]:
    """Every run of up to four neighbouring clauses, and the whole."""
    cuts = [0, *(match.start() for match in _CLAUSE.finditer(sentence)), len(sentence)]
    yield sentence
    yield from (sentence[start:end] for index, start in enumerate(cuts) for end in cuts[index + 1 : index + 5])


def _telling(text: str) -> list[str]:
    """Terms that say what a text is about: without stop words, numbers and what denies."""
    telling = (word for word in words(_MARK.sub("", text)) if word not in STOPWORDS)
    return [stem(word) for word in _parted(telling) if not is_turning(word)]


def _parted(found: Iterable[str]) -> Iterator[str]:
    for word in found:
        if _CJK_WORD.fullmatch(word):
            yield from (word[index : index + 2] for index in range(max(1, len(word) - 1)))
        elif not word[0].isdigit():
            yield word


def _share(claimed: frozenset[str], held: Sequence[str]) -> float:
    """How much of the claim's terms the text has; a CJK pair is half a word."""
    total = sum(map(_weight, claimed))
    if not total:
        return 0.0
    known = set(held)
    return sum(_weight(term) for term in claimed if term in known or _has_relative(term, known)) / total


def _weight(term: str) -> float:
    return 0.5 if _CJK_WORD.match(term) else 1.0


def _has_relative(term: str, known: set[str]) -> bool:
    """Whether another form of the word is there: both begin alike, for five letters and most of the longer one."""
    if len(term) < 5 or _CJK_WORD.match(term):
        return False
    return any(len(_common(term, other)) >= max(5, 0.6 * max(len(term), len(other))) for other in known)


def _common(one: str, other: str) -> str:
    length = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return fold(one[:length])
