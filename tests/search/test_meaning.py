"""Vectors made in the background, and what they find that words do not."""

from uuid import UUID

import pytest
from pytest_django import Settings

from search import index
from search.encoding import Encoder, OutOfReach
from search.models import Passage, Vector
from search.retrieval import find, progress
from tests.search.conftest import ANLAGEN, WATERWORKS, put, texts
from tests.search.encoders import foreign_encoder


@pytest.fixture
def embedded(encoder: Encoder, waterworks: UUID, anlagen: UUID, secret: UUID) -> None:
    index.embed(1000)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Quel est le prix du remplacement des conduites ?", WATERWORKS[1]),
        ("谁建造了港口车站？", WATERWORKS[0]),
        ("Who checks the pumps every year?", ANLAGEN[3]),
    ],
)
def test_a_question_in_another_language_finds_its_passage(
    embedded: None, waterworks: UUID, anlagen: UUID, question: str, answer: str
) -> None:
    found = find(question, [waterworks, anlagen])
    assert found.by_meaning
    assert answer in texts(found)[:2]


def test_a_scope_is_kept_by_the_vector_half_too(embedded: None, waterworks: UUID, secret: UUID) -> None:
    assert {hit.source_id for hit in find("浄水場", [secret])} == {secret}
    assert {hit.source_id for hit in find("浄水場", [waterworks])} == {waterworks}


def test_without_an_encoder_words_are_searched_and_it_says_so(waterworks: UUID) -> None:
    found = find("harbour station", [waterworks])
    assert texts(found)[0] == WATERWORKS[0]
    assert not found.by_meaning


def test_vectors_are_made_batch_by_batch_and_counted(encoder: Encoder, waterworks: UUID, anlagen: UUID) -> None:
    assert index.embed(2) == 2
    assert progress([waterworks, anlagen]) == (2, 7)
    assert index.embed(1000) == 5
    assert progress([waterworks, anlagen]) == (7, 7)
    assert index.embed(1000) == 0


def test_making_them_stops_where_it_may_not_go_on(encoder: Encoder, db: None) -> None:
    source = put(*(f"Passage number {number}." for number in range(40)))
    answers = iter([True, False])
    assert index.embed(1000, lambda: next(answers)) == 16
    assert progress([source]) == (16, 40)
    assert index.embed(1000, lambda: False) == 0


def test_what_was_made_before_the_encoder_went_is_kept(encoder: Encoder, settings: Settings, db: None) -> None:
    source = put(*(f"Passage number {number}." for number in range(20)))
    index.embed(16)
    settings.EMBEDDINGS_URL = "http://127.0.0.1:9/v1"
    with pytest.raises(OutOfReach):
        index.embed(1000)
    assert progress([source]) == (16, 20)


@pytest.mark.django_db(transaction=True)  # an index is made, which waits for no deferred check
def test_another_encoder_makes_them_anew_whatever_their_length(
    embedded: None, settings: Settings, waterworks: UUID
) -> None:
    num = Passage.objects.count()
    with foreign_encoder() as foreign:
        settings.EMBEDDINGS_URL, settings.EMBEDDINGS_MODEL = foreign.url, "another"
        assert progress([waterworks]) == (0, 3)
        assert texts(find("harbour", [waterworks])) == [WATERWORKS[0]]  # the old vectors are not compared
        assert index.embed(1000) == num
        assert progress([waterworks]) == (3, 3)
        assert set(Vector.objects.values_list("model", flat=True)) == {"another"}
        assert find("harbour", [waterworks]).by_meaning


def test_a_replaced_source_waits_for_its_vectors_again(embedded: None, waterworks: UUID) -> None:
    index.put(waterworks, [])
    assert not Vector.objects.filter(source_id=waterworks).exists()
