"""Errors a client sees, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.

ApiError
├── BadRequest             400  invalid_value, unsupported_option, context_length_exceeded, ...
├── Unauthorized           401  invalid_api_key
├── UnknownModel           404  model_not_found
├── Unprocessable          422  unsupported_schema, contradiction: well formed, and still cannot be done
├── GenerationFailed       500  generation_failed
└── Unavailable            503  model_loading, overloaded, shutting_down
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


class GenerationFailed(ApiError):
    status = 500


class Unavailable(ApiError):
    status = 503


def error_response(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    logger.info("refused %s %d %s", request.url.path, error.status, error.code)
    headers = {"Retry-After": "1"} if error.status == 503 else None
    return JSONResponse(error.body(), status_code=error.status, headers=headers)
