"""Asking an encoder: ours or a foreign one, that answers, answers nonsense, or does not answer."""

import json
from collections.abc import Iterator

import pytest

from search.encoding import Encoder, OutOfReach, prefixes_of
from tests.search.encoders import KEY, ForeignEncoder, foreign_encoder


@pytest.fixture
def foreign() -> Iterator[ForeignEncoder]:
    with foreign_encoder() as encoder:
        yield encoder


def test_ours_gives_vectors_of_length_one(encoder: Encoder) -> None:
    vectors = [encoder.question("Where?"), *encoder.passages(["Here.", "There."])]
    assert [sum(value * value for value in vector) for vector in vectors] == pytest.approx([1.0] * 3)


def test_a_foreign_one_is_asked_with_its_key_and_model(foreign: ForeignEncoder) -> None:
    encoder = Encoder(foreign.url, "some-model", "secret")
    assert encoder.passages(["a", "b"]) == [[0.6, 0.8], [0.6, 0.8]]
    assert foreign.bodies == [{"model": "some-model", "input": ["a", "b"]}]
    assert foreign.headers[0]["authorization"] == "Bearer secret"


def test_no_key_sends_no_header(foreign: ForeignEncoder) -> None:
    Encoder(foreign.url, "some-model").question("a")
    assert "authorization" not in foreign.headers[0]


@pytest.mark.parametrize(
    ("model", "question", "passage"),
    [
        ("intfloat/multilingual-e5-small", "query: a", "passage: a"),
        ("nomic-embed-text-v1.5", "search_query: a", "search_document: a"),
        ("use-multilingual-v3", "a", "a"),
        ("text-embedding-3-small", "a", "a"),
        ("note5-large", "a", "a"),
    ],
)
def test_a_family_that_wants_prefixes_gets_them(
    foreign: ForeignEncoder, model: str, question: str, passage: str
) -> None:
    encoder = Encoder(foreign.url, model)
    encoder.question("a")
    encoder.passages(["a"])
    assert [body["input"] for body in foreign.bodies] == [question, [passage]]
    assert prefixes_of(model).question + "a" == question


@pytest.mark.parametrize(
    "answer",
    [
        b"no json",
        b"[]",
        b"{}",
        json.dumps({"data": []}).encode(),
        json.dumps({"data": [{"index": 0, "embedding": [0, 0]}]}).encode(),
        json.dumps({"data": [{"index": 0, "embedding": "AAAA"}]}).encode(),
        b'{"data": [{"index": 0, "embedding": [1, NaN]}]}',
        json.dumps({"data": [{"index": n, "embedding": [1.0] * (n + 1)} for n in range(2)]}).encode(),
    ],
)
def test_nonsense_counts_as_out_of_reach(foreign: ForeignEncoder, answer: bytes) -> None:
    foreign.answer = answer
    with pytest.raises(OutOfReach):
        Encoder(foreign.url, "m").passages(["a", "b"] if b'"index": 1' in answer else ["a"])


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_refusal_counts_as_out_of_reach(foreign: ForeignEncoder, status: int) -> None:
    foreign.status = status
    with pytest.raises(OutOfReach, match=str(status)):
        Encoder(foreign.url, "m").question("a")


def test_nobody_there_is_out_of_reach_and_the_text_is_not_told() -> None:
    with pytest.raises(OutOfReach) as caught:
        Encoder("http://127.0.0.1:9/v1", "m", KEY).question("a secret")
    assert "secret" not in str(caught.value) and KEY not in str(caught.value)
