"""Embeddings as the real `openai` package asks for them, by the real encoder of search/."""

import math

import openai
import pytest

from chatapp.programs.embedding import read_texts
from chatapp.programs.errors import ApiError
from chatapp.programs.models import ApiKey
from chatapp.usage.models import Quota, Spending
from tests.search.encoders import KEY, our_encoder

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def encoder_url(tmp_path_factory: pytest.TempPathFactory) -> object:
    with our_encoder(tmp_path_factory.mktemp("encoder")) as url:
        yield url


@pytest.fixture
def encoder(encoder_url: str, settings: object) -> str:
    settings.EMBEDDINGS_URL, settings.EMBEDDINGS_KEY = encoder_url, KEY  # type: ignore[attr-defined]
    return settings.EMBEDDINGS_MODEL  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_texts_get_vectors_and_a_row_of_usage(program: openai.OpenAI, encoder: str, encoding: str | None) -> None:
    texts = ["The tide turns at noon.", "Die Flut kippt mittags.", "Accounts are due in May."]
    more = {"encoding_format": encoding} if encoding else {}  # the package asks for base64 by itself
    given = program.embeddings.create(model=encoder, input=texts, **more)  # type: ignore[arg-type]
    if encoding == "base64":
        assert all(isinstance(each.embedding, str) for each in given.data)
    else:
        same, translated, other = [each.embedding for each in given.data]
        assert math.isclose(sum(value * value for value in same), 1, abs_tol=1e-4)
        assert dot(same, translated) > dot(same, other) + 0.2
    [spent] = Spending.objects.all()
    assert (spent.kind, spent.model, spent.output_tokens) == ("vector", encoder, 0)
    assert given.usage.prompt_tokens == spent.cache_miss_tokens > 0 and spent.ended_at is not None
    assert spent.key == ApiKey.objects.get()


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_one_text_gets_one_vector(program: openai.OpenAI, encoder: str) -> None:
    assert len(program.embeddings.create(model=encoder, input="The tide.").data) == 1


def test_an_encoder_out_of_reach_is_503(program: openai.OpenAI, settings: object) -> None:
    settings.EMBEDDINGS_URL = "http://127.0.0.1:9/v1"  # type: ignore[attr-defined]
    model = settings.EMBEDDINGS_MODEL  # type: ignore[attr-defined]
    with pytest.raises(openai.InternalServerError) as failed:
        program.embeddings.create(model=model, input="The tide.")
    assert (failed.value.status_code, failed.value.code) == (503, "encoder_unreachable")
    assert not Spending.objects.exists()


def test_what_is_used_up_is_used_up_for_vectors_too(program: openai.OpenAI, encoder: str) -> None:
    Quota.objects.create(key=ApiKey.objects.get(), tokens_a_day=1)
    program.embeddings.create(model=encoder, input="The tide turns.")
    with pytest.raises(openai.APIStatusError) as refused:
        program.embeddings.create(model=encoder, input="The tide turns.")
    assert refused.value.status_code == 402


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"model": "text-embedding-3-small"}, 404, "model"),
        ({"input": None}, 400, "input"),
        ({"input": [[1, 2]]}, 400, "input"),
        ({"input": []}, 422, "input"),
        ({"input": ["a"] * 257}, 422, "input"),
        ({"input": "a" * 32_001}, 422, "input"),
        ({"dimensions": 64}, 400, "dimensions"),
        ({"encoding_format": "int8"}, 422, "encoding_format"),
        ({"colour": "blue"}, 400, "colour"),
    ],
)
def test_what_cannot_be_encoded_is_refused_by_name(
    change: dict[str, object], status: int, param: str, settings: object
) -> None:
    asked = {"model": settings.EMBEDDINGS_MODEL, "input": "a", "user": "u"}  # type: ignore[attr-defined]
    assert read_texts(asked).texts == ["a"]
    with pytest.raises(ApiError) as refused:
        read_texts({**asked, **change})
    assert (refused.value.status, refused.value.param) == (status, param)
