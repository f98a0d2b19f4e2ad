"""Sources into the index and out of it again."""

import logging
from collections.abc import Iterable, Iterator
from uuid import UUID

from django.db import connection, transaction

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
