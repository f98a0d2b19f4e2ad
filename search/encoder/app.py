"""The encoder's HTTP: `/v1/embeddings` as OpenAI has it, `/v1/models`, `/health`.

One text is a question and goes first; several are a batch.
"""

import base64
import json
import secrets
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from search.encoder.lanes import Lane, Lanes
from search.encoder.model import NAME

MAX_TEXTS = 256
MAX_CHARACTERS = 32_000  # a text; a passage has 2,000
MAX_BODY = 16 * 1024 * 1024


class Refused(Exception):
    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def create_app(lanes: Lanes, key: str | None = None) -> Starlette:
    """With a `key` everything but /health asks for it."""
    app = Starlette(
        routes=[
            Route("/v1/embeddings", _guarded(embeddings, key), methods=["POST"]),
            Route("/v1/models", _guarded(models, key), methods=["GET"]),
            Route("/health", health, methods=["GET"]),
        ],
        exception_handlers={Refused: _refusal},
    )
    app.state.lanes = lanes
    return app


async def embeddings(request: Request) -> Response:
    body = await _read_body(request)
    texts = _texts(body)
    as_base64 = _is_base64(body)
    lanes: Lanes = request.app.state.lanes
    vectors = await lanes.encode(texts, Lane.QUESTION if len(texts) == 1 else Lane.BATCH)
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if as_base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    # Counted in characters' quarters, as nobody pays for them.
    num_tokens = sum(map(len, texts)) // 4
    usage = {"prompt_tokens": num_tokens, "total_tokens": num_tokens}
    return JSONResponse({"object": "list", "data": data, "model": NAME, "usage": usage})


async def models(request: Request) -> Response:
    return JSONResponse({"object": "list", "data": [{"id": NAME, "object": "model", "owned_by": "sonde"}]})


async def health(request: Request) -> Response:
    """Always ready: the model is loaded by the first text."""
    return JSONResponse({"status": "ready", "loaded": request.app.state.lanes.is_loaded})


async def _read_body(request: Request) -> dict[str, Any]:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise Refused(413, f"the body is larger than {MAX_BODY} bytes; send fewer texts", "too_large")
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Refused(400, "the body is not JSON", "invalid_json") from error
    if not isinstance(body, dict):
        raise Refused(400, "the body must be an object", "invalid_value")
    if body.get("model", NAME) != NAME:
        raise Refused(404, f"model is not {NAME}; leave it out, or ask GET /v1/models", "model_not_found")
    if body.get("dimensions") is not None:
        raise Refused(400, "dimensions cannot be chosen; leave it out", "unsupported_option")
    return body


def _texts(body: dict[str, Any]) -> list[str]:
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused(400, "input must be a string or a list of strings", "invalid_value")
    if not 1 <= len(texts) <= MAX_TEXTS:
        raise Refused(400, f"input has {len(texts)} texts; from 1 to {MAX_TEXTS} are taken", "invalid_value")
    if any(len(text) > MAX_CHARACTERS for text in texts):
        raise Refused(400, f"a text of input has more than {MAX_CHARACTERS} characters", "invalid_value")
    return texts


def _is_base64(body: dict[str, Any]) -> bool:
    wanted = body.get("encoding_format") or "float"
    if wanted not in {"float", "base64"}:
        raise Refused(400, f"encoding_format={wanted!r} must be float or base64", "invalid_value")
    return bool(wanted == "base64")


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _guarded(
    handler: Callable[[Request], Awaitable[Response]], key: str | None
) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        is_right = key is None or secrets.compare_digest(given.strip().encode("latin-1"), key.encode())
        if not is_right or (key is not None and scheme.lower() != "bearer"):
            raise Refused(401, "the key is missing or wrong", "invalid_api_key")
        return await handler(request)

    return guarded


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    body = {"error": {"message": error.message, "type": "invalid_request_error", "code": error.code}}
    return JSONResponse(body, status_code=error.status)
