"""Passages of pages that were just read, ranked for a question: by words, then the best few by meaning. Pure.

The score by words is the share of the question that a passage holds, rare words counting most, as in search.by_words;
rarity is counted among the passages at hand.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from search.passages import cut
from search.ranking import Ranked, fused
from search.sentences import CJK
from search.terms import asked_terms, is_word, stem, words
from search.web.fragments import fragment
from search.web.page import Page

PER_PAGE = 3  # of one page among the best: several voices are worth more than one at length
_PREFIX_LENGTH = 6  # a word this long is found in longer ones that begin with it
_IN_TEXT, _REPEATED, _IN_HEADINGS, _IN_TITLE = 1.0, 0.15, 0.4, 0.25
_MIN_CHARACTERS = 20
_CJK_TERM = re.compile(rf"[{CJK}]")


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
    """The passages of one page, in their order."""
    return [
        WebPassage(number, ordinal, each.text, each.headings, each.place)
        for ordinal, each in enumerate(cut(page.blocks))
        if len(each.text) >= _MIN_CHARACTERS or each.headings
    ]


def by_words(question: str, passages: Sequence[WebPassage], titles: Sequence[str], limit: int) -> list[Ranked]:
    """The best passages by their place in the list, best first; those that hold no word of it are left out."""
    asked = _Asked(question)
    held = [asked.weights(passage, titles[passage.page]) for passage in passages]
    total = len(passages)
    counts = Counter(term for weights in held for term in weights)
    rarity = {term: math.log(1 + (total + 0.5) / (counts[term] + 0.5)) for term in asked.terms}
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
            chosen.append(replace(passage, score=each.score, place=_place(passage)))
            per_page[passage.page] += 1
            seen.add(passage.text)
    return chosen


class _Asked:
    """The terms of a question, counted in texts. Only words that begin like one of them are stemmed: most do not."""

    def __init__(self, question: str) -> None:
        self.terms = list(dict.fromkeys(asked_terms(question)))
        self._pairs = [term for term in self.terms if not term.isascii() and _CJK_TERM.search(term)]
        self._starts = tuple(term for term in self.terms if term not in self._pairs)
        self._counted: dict[str, Counter[str]] = {}

    def weights(self, passage: WebPassage, title: str) -> dict[str, float]:
        """The terms that the passage holds, each with what it is worth there."""
        text = self._count(passage.text)
        headings, named = self._remembered("\n".join(passage.headings)), self._remembered(title)
        weights = {term: _IN_TEXT + _REPEATED * math.log(num) for term, num in text.items()}
        for found, worth in ((headings, _IN_HEADINGS), (named, _IN_TITLE)):
            for term in found:
                weights[term] = weights.get(term, 0.0) + worth
        return weights

    def _remembered(self, text: str) -> Counter[str]:
        """Titles and headings are the same for many passages."""
        if text not in self._counted:
            self._counted[text] = self._count(text)
        return self._counted[text]

    def _count(self, text: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        for word in words(text):
            if self._starts and word.startswith(self._starts):
                counts.update(term for term in self._starts if _is_form(word, term))
            for pair in self._pairs:
                if pair in word:
                    counts[pair] += word.count(pair)
        return counts


def _is_form(word: str, term: str) -> bool:
    if not word.startswith(term):
        return False
    return stem(word) == term or (len(term) >= _PREFIX_LENGTH and is_word(term))


def _place(passage: WebPassage) -> dict[str, Any]:
    """With the text fragment of the whole passage, which may be made of several blocks."""
    if passage.place.get("kind") == "text":
        return {**passage.place, "fragment": fragment(passage.text)}
    return passage.place
