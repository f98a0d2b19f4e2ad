"""Passages of pages that were just read, ranked for a question: by words, then the best few by meaning. Pure.

The score by words is the share of the question that a passage holds, rare words counting most, as in search.by_words;
rarity is counted among the passages at hand.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from search.passages import Cut, cut
from search.ranking import Ranked, fused
from search.terms import asked_terms, is_word, terms
from search.web.fragments import fragment
from search.web.page import Page

PER_PAGE = 3  # of one page among the best: several voices are worth more than one at length
_PREFIX_LENGTH = 6  # a word this long is found in longer ones that begin with it
_IN_TEXT, _REPEATED, _IN_HEADINGS, _IN_TITLE = 1.0, 0.15, 0.4, 0.25
_MIN_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class WebPassage:
    """`page` is its place in the list of pages; `place` as search.web.page.TextPlace, or as a PDF's parser made it."""

    page: int
    ordinal: int
    text: str
    headings: tuple[str, ...]
    place: dict[str, Any]
    score: float = 0.0


def passages_of(page: Page, number: int) -> list[WebPassage]:
    """The passages of one page, each with a text fragment of its own."""
    return [
        WebPassage(number, ordinal, each.text, each.headings, _place(each))
        for ordinal, each in enumerate(cut(page.blocks))
        if len(each.text) >= _MIN_CHARACTERS or each.headings
    ]


def by_words(question: str, passages: Sequence[WebPassage], titles: Sequence[str], limit: int) -> list[Ranked]:
    """The best passages by their place in the list, best first; those that hold no word of it are left out."""
    asked = list(dict.fromkeys(asked_terms(question)))
    held = [_held(asked, passage, titles[passage.page]) for passage in passages]
    total = len(passages)
    counts = Counter(term for weights in held for term in weights)
    rarity = {term: math.log(1 + (total + 0.5) / (counts[term] + 0.5)) for term in asked}
    ideal = sum(rarity.values()) or 1.0
    scored = [
        Ranked(place, sum(weight * rarity[term] for term, weight in weights.items()) / ideal)
        for place, weights in enumerate(held)
        if weights
    ]
    return sorted(scored, key=lambda ranked: (-ranked.score, ranked.passage_id))[:limit]


def best(
    passages: Sequence[WebPassage], ranked: Sequence[Ranked], cosines: Sequence[float], limit: int
) -> list[WebPassage]:
    """The passages to answer from. `cosines` are those of the first of `ranked`; none where no encoder answered."""
    order = list(ranked)
    if cosines:
        nearest = [Ranked(each.passage_id, cosine) for each, cosine in zip(ranked, cosines, strict=False)]
        nearest.sort(key=lambda each: -each.score)
        first = fused(ranked[: len(cosines)], nearest, {}, len(cosines))
        order = [*first, *ranked[len(cosines) :]]
    return _varied(passages, order, limit)


def _varied(passages: Sequence[WebPassage], order: Sequence[Ranked], limit: int) -> list[WebPassage]:
    """No more than PER_PAGE of one page, and no text twice, be it on another page."""
    chosen: list[WebPassage] = []
    per_page: Counter[int] = Counter()
    seen: set[str] = set()
    for each in order:
        passage = passages[each.passage_id]
        if len(chosen) < limit and per_page[passage.page] < PER_PAGE and passage.text not in seen:
            chosen.append(replace(passage, score=each.score))
            per_page[passage.page] += 1
            seen.add(passage.text)
    return chosen


def _held(asked: Sequence[str], passage: WebPassage, title: str) -> dict[str, float]:
    """The asked terms that it holds, each with what it is worth there."""
    text, headings, named = (Counter(terms(part)) for part in (passage.text, "\n".join(passage.headings), title))
    weights: dict[str, float] = {}
    for term in asked:
        num = _count(term, text)
        weight = (_IN_TEXT + _REPEATED * math.log(num)) if num else 0.0
        weight += _IN_HEADINGS * bool(_count(term, headings)) + _IN_TITLE * bool(_count(term, named))
        if weight:
            weights[term] = weight
    return weights


def _count(term: str, found: Counter[str]) -> int:
    num = found[term]
    if num or len(term) < _PREFIX_LENGTH or not is_word(term):
        return num
    return sum(count for other, count in found.items() if other.startswith(term))


def _place(passage: Cut) -> dict[str, Any]:
    if passage.place.get("kind") == "text":
        return {**passage.place, "fragment": fragment(passage.text)}
    return passage.place
