"""The encoder: its API with OpenAI's own client, and who goes first when several ask."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import httpx
import openai
import pytest

from search.encoder.lanes import PIECE, Lane, Lanes
from search.encoder.model import NAME, Encode
from tests.search.encoders import KEY


def ask(url: str, body: object, key: str = KEY) -> httpx.Response:
    return httpx.post(f"{url}/embeddings", json=body, headers={"Authorization": f"Bearer {key}"}, trust_env=False)


def test_openai_client_gets_vectors_and_the_nearest_is_the_translation(encoder_url: str) -> None:
    texts = ["How do I install a package?", "Wie installiere ich ein Paket?", "怎样安装软件包？", "The cat sleeps."]
    with openai.OpenAI(base_url=encoder_url, api_key=KEY) as client:
        assert [model.id for model in client.models.list()] == [NAME]
        vectors = [each.embedding for each in client.embeddings.create(model=NAME, input=texts).data]
    english, german, chinese, cat = vectors
    for translation in (german, chinese):
        assert dot(english, translation) > dot(english, cat) + 0.2


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_floats_and_base64_say_the_same(encoder_url: str) -> None:
    with openai.OpenAI(base_url=encoder_url, api_key=KEY) as client:
        packed = client.embeddings.create(model=NAME, input="text").data[0].embedding  # the client's default
        plain = client.embeddings.create(model=NAME, input="text", encoding_format="float").data[0].embedding
    assert packed == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"input": "a", "model": "another"}, 404),
        ({"input": []}, 400),
        ({"input": ["a"] * 257}, 400),
        ({"input": [1, 2]}, 400),
        ({"input": "a" * 40_000}, 400),
        ({"input": "a", "dimensions": 12}, 400),
        ({"input": "a", "encoding_format": "int8"}, 400),
        ({}, 400),
        (["a"], 400),
    ],
)
def test_a_bad_request_is_named(encoder_url: str, body: object, status: int) -> None:
    response = ask(encoder_url, body)
    assert (response.status_code, bool(response.json()["error"]["message"])) == (status, True)


def test_without_the_key_there_is_nothing(encoder_url: str) -> None:
    assert ask(encoder_url, {"input": "a"}).status_code == 200
    assert ask(encoder_url, {"input": "a"}, key="wrong").status_code == 401
    assert httpx.get(f"{encoder_url}/models", trust_env=False).status_code == 401


@pytest.mark.parametrize("text", ["", " ", "\n", "漢" * 10_000, "a" * 10_000, "\x00", "🙂"])
def test_odd_texts_have_vectors_too(encoder_url: str, text: str) -> None:
    assert len(ask(encoder_url, {"input": text}).json()["data"][0]["embedding"]) == 512


class SlowModel:
    """Keeps the order of what it was given; waits for `go` before each piece."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.num_loaded = 0
        self.go = threading.Semaphore(0)

    def load(self) -> Encode:
        self.num_loaded += 1
        return self.encode

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        self.go.acquire()
        self.seen.extend(texts)
        return [[float(len(text))] for text in texts]


async def test_a_question_goes_before_the_rest_of_a_batch() -> None:
    model = SlowModel()
    lanes = Lanes(model.load)
    batch = asyncio.create_task(lanes.encode(["b" * n for n in range(1, 8)], Lane.BATCH))
    await asyncio.sleep(0.05)
    question = asyncio.create_task(lanes.encode(["question"], Lane.QUESTION))
    await asyncio.sleep(0.05)
    for _ in range(6):
        model.go.release()
    assert await question == [[8.0]]
    assert await batch == [[float(n)] for n in range(1, 8)]
    assert model.seen.index("question") == PIECE  # after the piece that was under way


async def test_a_batch_that_nobody_waits_for_is_left() -> None:
    model = SlowModel()
    lanes = Lanes(model.load)
    batch = asyncio.create_task(lanes.encode(["b"] * 100, Lane.BATCH))
    await asyncio.sleep(0.05)
    batch.cancel()
    model.go.release()
    model.go.release()
    assert await lanes.encode(["next"], Lane.QUESTION) == [[4.0]]
    model.go.release()
    await asyncio.sleep(0.05)
    assert model.seen == ["b"] * PIECE + ["next"]


async def test_model_comes_with_the_first_text_and_goes_after_idle_time() -> None:
    model = SlowModel()
    lanes = Lanes(model.load, idle_s=0.1)
    assert not lanes.is_loaded
    for num in (1, 2):
        model.go.release()
        await lanes.encode(["a"], Lane.QUESTION)
        assert lanes.is_loaded and model.num_loaded == num
        await _until(lambda: not lanes.is_loaded)


async def test_a_model_that_fails_ends_its_request_and_not_the_next() -> None:
    model = SlowModel()
    broken = [ValueError("no weights")]

    def load() -> Encode:
        if broken:
            raise broken.pop()
        return model.load()

    lanes = Lanes(load)
    with pytest.raises(ValueError, match="no weights"):
        await lanes.encode(["a"], Lane.QUESTION)
    model.go.release()
    assert await lanes.encode(["a"], Lane.QUESTION) == [[1.0]]


async def _until(is_so: Callable[[], bool], timeout_s: float = 5) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
