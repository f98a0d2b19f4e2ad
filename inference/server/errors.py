"""Errors a client sees, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.

A message says the cause and, after it, the remedy.

ApiError
├── BadRequest             400  invalid_value, unsupported_option, context_length_exceeded, ...
├── Unauthorized           401  invalid_api_key
├── UnknownModel           404  model_not_found; UnknownRoute not_found, method_not_allowed (405)
├── Unprocessable          422  unsupported_schema, contradiction: well formed, and still cannot be done
├── RateLimited            429  too_many_requests
├── GenerationFailed       500  generation_failed; internal_error for what nobody expected
└── Unavailable            503  model_loading, waited_too_long, shutting_down
"""

from __future__ import annotations

import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

logger = logging.getLogger(__name__)


class ApiError(Exception):
    status = 500
    kind = "server_error"
    retry_after_s: int | None = None
    remedy = ""

    def __init__(self, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.param = message, code, param

    def body(self) -> dict[str, Any]:
        message = f"{self.message}; {self.remedy}" if self.remedy else self.message
        return {"error": {"message": message, "type": self.kind, "param": self.param, "code": self.code}}


class BadRequest(ApiError):
    status = 400
    kind = "invalid_request_error"

    def __init__(self, message: str, code: str = "invalid_value", param: str | None = None) -> None:
        super().__init__(message, code, param)


class Unauthorized(ApiError):
    status = 401
    kind = "authentication_error"
    remedy = "send the worker's key as Authorization: Bearer KEY"


class UnknownModel(ApiError):
    status = 404
    kind = "invalid_request_error"
    remedy = "leave model out, or take the id that GET /v1/models tells"


class UnknownRoute(ApiError):
    kind = "invalid_request_error"
    remedy = "the routes are /v1/chat/completions, /v1/completions, /v1/models, /tokenize, /metrics and /health"


class Unprocessable(ApiError):
    status = 422
    kind = "invalid_request_error"


class RateLimited(ApiError):
    status = 429
    kind = "rate_limit_error"
    remedy = "ask again after the seconds that Retry-After says"

    def __init__(self, message: str, code: str, retry_after_s: int) -> None:
        super().__init__(message, code)
        self.retry_after_s = retry_after_s


class GenerationFailed(ApiError):
    status = 500
    remedy = "ask again; if that fails too, the worker's log has the cause"


class Unavailable(ApiError):
    status = 503
    retry_after_s = 1
    remedy = "ask again in a moment"


def error_response(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    logger.info("refused %s %d %s", request.url.path, error.status, error.code)
    headers = None if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return JSONResponse(error.body(), status_code=error.status, headers=headers)


def route_error_response(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: a path or a method that is not there."""
    assert isinstance(error, HTTPException)
    refusal = UnknownRoute(
        f"{request.method} {request.url.path}: {error.detail}",
        "method_not_allowed" if error.status_code == 405 else "not_found",
    )
    return JSONResponse(refusal.body(), status_code=error.status_code, headers=error.headers)


def internal_error() -> ApiError:
    return GenerationFailed("the worker made a mistake", "internal_error")


def internal_error_response(request: Request, error: Exception) -> Response:
    """What nobody expected; Starlette raises it again after this, so it is logged with its traceback."""
    refusal = internal_error()
    return JSONResponse(refusal.body(), status_code=refusal.status)
