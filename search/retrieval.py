"""Passages for a question, out of a scope: what the asker may read is filtered inside every query."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from search.by_meaning import cosines_of, find_by_meaning, has_vectors
from search.by_words import find_by_words
from search.configured import configured_encoder
from search.encoding import OutOfReach
from search.models import Passage, Vector
from search.ranking import Ranked, fused
from search.scope import Scope, filter_of, num_passages

logger = logging.getLogger(__name__)

POOL = 50  # of each half, before they are fused
MAX_QUESTION = 1000  # characters of a question that are encoded


@dataclass(frozen=True, slots=True)
class Hit:
    passage_id: int
    source_id: UUID
    ordinal: int
    text: str
    headings: tuple[str, ...]
    place: dict[str, Any]
    score: float


class Found(list[Hit]):
    """The hits, best first. `by_meaning` is False where only words could be searched: no vectors yet, or no encoder."""

    def __init__(self, hits: Iterable[Hit], by_meaning: bool) -> None:
        super().__init__(hits)
        self.by_meaning = by_meaning


def find(query: str, scope: Scope, limit: int = 8, *, only_words: bool = False) -> Found:
    """The passages of the scope that answer the query best; by words alone where nobody may wait for an encoder."""
    if not 1 <= limit <= POOL:
        raise ValueError(f"limit={limit} must be from 1 to {POOL}")
    where = filter_of(scope)
    size = num_passages(where)
    if not size or not query.strip():
        return Found([], by_meaning=True)
    by_words = find_by_words(query, where, size, POOL)
    encoder = configured_encoder()
    if only_words or not has_vectors(encoder.model, where):
        # Just read: waiting for an encoder that may have to load (1.7 s) would find nothing more.
        return Found(_hits(by_words[:limit]), by_meaning=False)
    try:
        question = encoder.question(query[:MAX_QUESTION])
    except OutOfReach as error:
        logger.warning("found by words alone: %s", error)
        return Found(_hits(by_words[:limit]), by_meaning=False)
    by_meaning = find_by_meaning(question, encoder.model, where, size, POOL)
    others = {each.passage_id for each in by_words} - {each.passage_id for each in by_meaning}
    cosines = cosines_of(question, encoder.model, others)
    return Found(_hits(fused(by_words, by_meaning, cosines, limit)), by_meaning=True)


def whole(source_ids: Iterable[UUID]) -> list[Hit]:
    """Every passage of these sources, the sources in the order given."""
    order = {source_id: place for place, source_id in enumerate(source_ids)}
    rows = Passage.objects.filter(source_id__in=order).order_by("ordinal")
    return sorted((_hit(row, 0.0) for row in rows), key=lambda hit: (order[hit.source_id], hit.ordinal))


def indexed_among(source_ids: Iterable[UUID]) -> set[UUID]:
    """Those that have passages: they can be found by their words."""
    return set(Passage.objects.filter(source_id__in=list(source_ids), ordinal=0).values_list("source_id", flat=True))


def progress(source_ids: Iterable[UUID]) -> tuple[int, int]:
    """How many passages of these sources have their vector, and how many there are."""
    ids = list(source_ids)
    made = Vector.objects.filter(source_id__in=ids, model=configured_encoder().model)
    return made.count(), Passage.objects.filter(source_id__in=ids).count()


def _hits(ranked: Sequence[Ranked]) -> list[Hit]:
    rows = Passage.objects.defer("terms").in_bulk([each.passage_id for each in ranked])
    # A passage may have been dropped since it was found.
    return [_hit(rows[each.passage_id], each.score) for each in ranked if each.passage_id in rows]


def _hit(row: Passage, score: float) -> Hit:
    return Hit(row.pk, row.source_id, row.ordinal, row.text, tuple(row.headings), row.place, score)
