"""Every refusal has OpenAI's shape, a status, a cause and a remedy."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from inference.server import app as app_module
from inference.server.app import create_app
from inference.server.errors import (
    ApiError,
    BadRequest,
    GenerationFailed,
    RateLimited,
    Unauthorized,
    Unavailable,
    UnknownModel,
    Unprocessable,
)
from inference.server.worker import Worker
from tests.inference.conftest import RunningServer


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest("temperature must be a number from 0 to 2, not 3"), 400),
        (Unauthorized("the API key is missing or wrong", "invalid_api_key"), 401),
        (UnknownModel("not served here", "model_not_found", "model"), 404),
        (Unprocessable("the schema cannot be enforced", "unsupported_schema", "response_format"), 422),
        (RateLimited("96 requests are being served or waiting", "too_many_requests", retry_after_s=3), 429),
        (GenerationFailed("the generation failed", "generation_failed"), 500),
        (Unavailable("the worker is shutting down", "shutting_down"), 503),
    ],
)
def test_errors_are_told_in_openais_shape(error: ApiError, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(request: Any) -> Any:
        raise error

    monkeypatch.setattr(app_module, "models", fail)
    client = TestClient(create_app(Worker(lambda report: pytest.fail("never loaded"))))
    response = client.get("/v1/models")
    told = response.json()["error"]
    assert response.status_code == status and told.keys() == {"message", "type", "param", "code"}
    assert told["message"].startswith(error.message) and told["code"] == error.code
    assert ("retry-after" in response.headers) == (status in (429, 503))
    if status not in (400, 422):  # their message names the value and what it may be
        assert error.remedy and error.remedy in told["message"]


def test_what_nobody_expected_is_told_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(request: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(app_module, "models", fail)
    app = create_app(Worker(lambda report: pytest.fail("never loaded")))
    response = TestClient(app, raise_server_exceptions=False).get("/v1/models")
    assert response.status_code == 500 and response.json()["error"]["code"] == "internal_error"
    assert "secret" not in response.text


def test_unknown_routes_and_methods_have_the_shape_too(server: RunningServer) -> None:
    missing = httpx.get(f"{server.url}/v1/embeddings")
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "not_found"
    wrong = httpx.get(f"{server.url}/v1/chat/completions")
    assert wrong.status_code == 405 and wrong.json()["error"]["code"] == "method_not_allowed"
    assert wrong.headers["allow"] == "POST"
