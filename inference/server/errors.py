"""Errors a client sees, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.

ApiError
├── BadRequest             400  invalid_value, unsupported_option, context_length_exceeded, ...
├── Unauthorized           401  invalid_api_key
├── UnknownModel           404  model_not_found
├── Unprocessable          422  unsupported_schema, contradiction: well formed, and still cannot be done
├── RateLimited            429  too_many_requests
├── GenerationFailed       500  generation_failed
└── Unavailable            503  model_loading, waited_too_long, shutting_down
"""

from __future__ import annotations

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

logger = logging.getLogger(__name__)


class ApiError(Exception):
    status = 500
    kind = "server_error"
    retry_after_s: int | None = None

    def __init__(self, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.param = message, code, param

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


class BadRequest(ApiError):
    status = 400
    kind = "invalid_request_error"

    def __init__(self, message: str, code: str = "invalid_value", param: str | None = None) -> None:
        super().__init__(message, code, param)


class Unauthorized(ApiError):
    status = 401
    kind = "authentication_error"


class UnknownModel(ApiError):
    status = 404
    kind = "invalid_request_error"


class Unprocessable(ApiError):
    status = 422
    kind = "invalid_request_error"


class RateLimited(ApiError):
    status = 429
    kind = "rate_limit_error"

    def __init__(self, message: str, code: str, retry_after_s: int) -> None:
        super().__init__(message, code)
        self.retry_after_s = retry_after_s


class GenerationFailed(ApiError):
    status = 500


class Unavailable(ApiError):
    status = 503
    retry_after_s = 1


def error_response(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    logger.info("refused %s %d %s", request.url.path, error.status, error.code)
    headers = None if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return JSONResponse(error.body(), status_code=error.status, headers=headers)
