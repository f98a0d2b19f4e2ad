"""Two ranked lists made one. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ranked:
    passage_id: int
    score: float


# Reciprocal rank fusion; a place in one list is worth 1 / (FLAT + rank).
FLAT = 60


def fused(by_words: Sequence[Ranked], by_meaning: Sequence[Ranked], limit: int) -> list[Ranked]:
    """The best of both, best first."""
    scores: dict[int, float] = {}
    for ranking in (by_words, by_meaning):
        for rank, ranked in enumerate(ranking, 1):
            scores[ranked.passage_id] = scores.get(ranked.passage_id, 0.0) + 1 / (FLAT + rank)
    best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return [Ranked(passage_id, score) for passage_id, score in best[:limit]]
