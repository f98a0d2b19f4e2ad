"""Sources into the index and out of it again."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from search.by_meaning import literal, make_near_index
from search.configured import configured_encoder
from search.encoding import BATCH
from search.models import Passage, Vector
from search.passages import Cut, Located, cut
from search.terms import is_word, terms, vector_literal

logger = logging.getLogger(__name__)

# Putting shares this lock, dropping has it alone: a word is not dropped while another source is bringing it.
_WORDS_LOCK = 5_001
_BATCH = 500  # rows a statement


@transaction.atomic
def put(source_id: UUID, located: Iterable[Located]) -> int:
    """Replace the source's passages by those of its blocks; searchable by their words on commit. Returns how many."""
    _delete([source_id])
    passages = cut(located)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_WORDS_LOCK])
        Passage.objects.bulk_create(list(_rows(source_id, passages)), batch_size=_BATCH)
        cursor.execute(
            "INSERT INTO search_word (term) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING",
            [sorted(_words_of(passages))],
        )
    logger.info("source %s put passages=%d", source_id, len(passages))
    return len(passages)


@transaction.atomic
def drop(source_ids: Iterable[UUID]) -> None:
    """Forget these sources: passages, vectors, and the words that stand nowhere else."""
    ids = list(source_ids)
    _delete(ids)
    logger.info("sources dropped num=%d", len(ids))


def embed(limit: int, may_go_on: Callable[[], bool] = lambda: True) -> int:
    """Make vectors for up to `limit` passages that have none of the configured encoder's.

    Asks before each batch whether it may go on. Safe to run twice, side by side too. Returns how many were made; 0 when
    none is left, or it might not begin. Raises OutOfReach, and keeps what was made before.
    """
    encoder = configured_encoder()
    pending = list(_without_vector(encoder.model)[:limit])
    made = 0
    while made < len(pending) and may_go_on():
        rows = list(Passage.objects.filter(pk__in=pending[made : made + BATCH]).only("headings", "text"))
        if rows:
            vectors = encoder.passages([encoded_text(row.headings, row.text) for row in rows])
            make_near_index(len(vectors[0]))
            _write_vectors([row.pk for row in rows], encoder.model, vectors)
        made += BATCH
    num = min(made, len(pending))
    if num:
        logger.info("vectors made num=%d model=%s", num, encoder.model)
    return num


def encoded_text(headings: Sequence[str], text: str) -> str:
    """What stands for a passage before the encoder: many say what they are about in their headings alone."""
    return "\n".join([*headings, text])


def _without_vector(model: str) -> QuerySet[Passage, int]:
    made = Vector.objects.filter(passage=OuterRef("pk"), model=model)
    return Passage.objects.filter(~Exists(made)).order_by("pk").values_list("pk", flat=True)


def _write_vectors(passage_ids: list[int], model: str, vectors: Iterable[Sequence[float]]) -> None:
    """A passage dropped in the meantime gets none; one of another encoder is replaced."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO search_vector (passage_id, source_id, model, value)
            SELECT passage.id, passage.source_id, %s, made.value::halfvec
            FROM unnest(%s::bigint[], %s::text[]) AS made (id, value)
            JOIN search_passage AS passage ON passage.id = made.id FOR KEY SHARE OF passage
            ON CONFLICT (passage_id) DO UPDATE SET model = excluded.model, value = excluded.value
            """,
            [model, passage_ids, [literal(vector) for vector in vectors]],
        )


def _delete(source_ids: list[UUID]) -> None:
    passages = Passage.objects.filter(source_id__in=source_ids)
    if not passages.exists():
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_WORDS_LOCK])
        cursor.execute(
            "SELECT DISTINCT lexeme FROM search_passage, unnest(terms) WHERE source_id = ANY(%s)", [source_ids]
        )
        gone = [lexeme for (lexeme,) in cursor.fetchall() if is_word(lexeme)]
        Vector.objects.filter(source_id__in=source_ids).delete()
        passages.delete()
        cursor.execute(
            "DELETE FROM search_word WHERE term = ANY(%s) AND NOT EXISTS"
            " (SELECT FROM search_passage WHERE terms @@ quote_literal(term)::tsquery)",
            [gone],
        )


def _rows(source_id: UUID, passages: Iterable[Cut]) -> Iterator[Passage]:
    for ordinal, passage in enumerate(passages):
        text = passage.text.replace("\0", "")
        yield Passage(
            source_id=source_id,
            ordinal=ordinal,
            text=text,
            headings=list(passage.headings),
            place=passage.place,
            characters=len(text),
            terms=vector_literal(passage.headings, text),
        )


def _words_of(passages: Iterable[Cut]) -> set[str]:
    return {
        term
        for passage in passages
        for text in (*passage.headings, passage.text)
        for term in terms(text)
        if is_word(term)
    }
