"""A hundred thousand passages of others around a small scope: what is in it is found, by the index or without it."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.db import connection
from pytest_django import Settings

from search.by_meaning import find_by_meaning, make_near_index
from search.retrieval import find
from search.scope import LARGE, filter_of, num_passages
from tests.search.encoders import ForeignEncoder, foreign_encoder

NUM = 100_000
# Sources of 200 passages each; those from LONELY on point another way than all the others, most of all the last.
LONELY = NUM - 3
ASKED = [0.0] * 7 + [1.0]


@pytest.fixture
def encoder_of_eight(settings: Settings) -> Iterator[ForeignEncoder]:
    with foreign_encoder() as encoder:
        settings.EMBEDDINGS_URL, settings.EMBEDDINGS_MODEL = encoder.url, "of eight"
        encoder.vector = ASKED
        yield encoder


@pytest.fixture
def crowd(db: None) -> None:
    """Vectors of eight numbers: the dimensions of a real encoder would only make this slow."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO search_passage (id, source_id, ordinal, text, headings, place, characters, terms)
            SELECT n, lpad((n / 200)::text, 32, '0')::uuid, n % 200, 'Filler.', '{{}}',
                   '{{"kind": "paragraph", "paragraph": 1}}', 7, ''
            FROM generate_series(1, {NUM}) AS n
            """
        )
        cursor.execute(
            f"""
            INSERT INTO search_vector (passage_id, source_id, model, value)
            SELECT passage.id, source_id, 'of eight', CASE
                WHEN passage.id < {LONELY} THEN (SELECT array_agg(random())
                    FROM generate_series(1, 8) WHERE passage.id > 0)::halfvec
                ELSE ARRAY[-1, -1, -1, -1, -1, -1, -1, (passage.id - {NUM})::real / 10]::halfvec END
            FROM search_passage AS passage ORDER BY passage.id
            """
        )
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # an index is made of no table with checks to come
        make_near_index(8)
        cursor.execute("ANALYZE search_passage, search_vector")


def source(number: int) -> UUID:
    return UUID(f"{number:032d}")


def test_a_scope_of_any_size_finds_its_own_neighbours(crowd: None, encoder_of_eight: ForeignEncoder) -> None:
    """One test, because the crowd takes ten seconds to gather."""
    assert num_passages(filter_of([source(n) for n in range(NUM // 200 + 1)])) == LARGE  # counted no further
    last = source(NUM // 200)
    found = find("Anything?", [last])
    assert found.by_meaning
    # All of the crowd is nearer to the question than anything in this scope.
    assert [hit.passage_id for hit in found] == [NUM]
    for num_sources in (1, 20, 150, 400):
        scope = filter_of([source(n) for n in range(60, 60 + num_sources)])
        ranked = find_by_meaning(ASKED, "of eight", scope, num_passages(scope), 50)
        assert len(ranked) == 50
        assert all(60 <= each.passage_id // 200 < 60 + num_sources for each in ranked)
        assert ranked == sorted(ranked, key=lambda each: -each.score)
