"""The Starlette application: routes, the key, health. It is made around a Worker, which loads the model."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from inference.server import metrics
from inference.server.answers import read_json
from inference.server.chat import chat_completions
from inference.server.completions import completions
from inference.server.errors import (
    ApiError,
    Unauthorized,
    error_response,
    internal_error_response,
    route_error_response,
)
from inference.server.requests import check_model, parse_count
from inference.server.worker import Worker

Handler = Callable[[Request], Awaitable[Response | ASGIApp]]


def create_app(worker: Worker, api_key: str | None = None) -> Starlette:
    """With an `api_key` everything but /health asks for it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loading = asyncio.create_task(worker.start())
        yield
        await worker.stop()
        loading.cancel()

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", _guarded(chat_completions, api_key), methods=["POST"]),
            Route("/v1/completions", _guarded(completions, api_key), methods=["POST"]),
            Route("/v1/models", _guarded(models, api_key), methods=["GET"]),
            Route("/v1/models/{name:path}", _guarded(model, api_key), methods=["GET"]),
            Route("/tokenize", _guarded(tokenize, api_key), methods=["POST"]),
            Route("/metrics", _guarded(show_metrics, api_key), methods=["GET"]),
            Route("/health", health, methods=["GET"]),
        ],
        exception_handlers={
            ApiError: error_response,
            ClientDisconnect: _nobody_there,
            HTTPException: route_error_response,
            Exception: internal_error_response,
        },
        lifespan=lifespan,
    )
    app.state.worker = worker
    return app


async def models(request: Request) -> Response:
    return JSONResponse({"object": "list", "data": [_model_entry(request.app.state.worker)]})


async def model(request: Request) -> Response:
    entry = _model_entry(request.app.state.worker)
    check_model(request.path_params["name"], entry["id"])
    return JSONResponse(entry)


async def tokenize(request: Request) -> Response:
    worker: Worker = request.app.state.worker
    count = parse_count(await read_json(request), worker.loaded.model)
    if count.messages is not None:
        token_ids = await asyncio.to_thread(worker.encode_chat, count.messages)
    else:
        token_ids = await asyncio.to_thread(worker.loaded.tokenizer.encode_prompt, count.prompt or "")
    return JSONResponse({"count": len(token_ids)})


async def health(request: Request) -> Response:
    """200 when a question can be asked; before that 503 with the stage of loading."""
    worker: Worker = request.app.state.worker
    ready = worker.stage == "ready"
    body = {"status": "ready" if ready else "unavailable", "stage": worker.stage, "seconds": round(worker.seconds, 1)}
    return JSONResponse(body, status_code=200 if ready else 503)


async def show_metrics(request: Request) -> Response:
    worker: Worker = request.app.state.worker
    return PlainTextResponse(
        metrics.render(worker.metrics, worker.gauges), media_type="text/plain; version=0.0.4; charset=utf-8"
    )


def _guarded(handler: Handler, api_key: str | None) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        if api_key is not None:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            is_right = secrets.compare_digest(given.strip().encode("latin-1"), api_key.encode())
            if scheme.lower() != "bearer" or not is_right:
                raise Unauthorized("the API key is missing or wrong", "invalid_api_key")
        return _as_response(await handler(request))

    return guarded


def _model_entry(worker: Worker) -> dict[str, Any]:
    served = worker.loaded.model
    return {
        "id": served.name,
        "object": "model",
        "created": worker.created,
        "owned_by": "sonde",
        "context_length": worker.loaded.engine.max_model_len,
        "thinking": served.can_think,
    }


def _as_response(answer: Response | ASGIApp) -> Response:
    return answer  # type: ignore[return-value]  # Starlette calls whatever an endpoint returns as an ASGI app


async def _nobody_there(request: Request, error: Exception) -> Response:
    return Response(status_code=499)
