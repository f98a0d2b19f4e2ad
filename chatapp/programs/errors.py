"""What a program is told went wrong: OpenAI's form, with the statuses that DeepSeek documents. In English, as theirs.

400 the request is not understood      401 no key, or none that works       402 the quota is used up
403 not within the key's scope         404 no such model, file or route     422 a value out of its range
429 too many at once, or the endpoint limits the rate                       500, 503 ours, or the endpoint's
"""

from typing import Any

from chatapp.answers.models import Status

_TYPES = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """`param` names the field at fault. `may_repeat` False: the same again may be paid for again."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: int | None = None,
        may_repeat: bool = True,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.may_repeat = may_repeat

    def to_wire(self) -> dict[str, Any]:
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """The second is what OpenAI's own clients go by."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return headers if self.may_repeat else {**headers, "x-should-retry": "false"}


def not_understood(param: str, message: str) -> ApiError:
    return ApiError(400, "invalid_value", message, param=param)


def out_of_range(param: str, message: str) -> ApiError:
    return ApiError(422, "invalid_parameter", message, param=param)


def unsupported(param: str, message: str) -> ApiError:
    return ApiError(400, "unsupported_option", message, param=param)


def no_model(name: str) -> ApiError:
    words = f"The model {name[:200]!r} does not exist, or this key may not ask it; GET /v1/models lists those it may."
    return ApiError(404, "model_not_found", words, param="model")


def of_call(status: str, code: str, detail: str, retry_after_s: int | None = None) -> ApiError:
    """How a call has ended that has not finished. Codes are those of answers, see docs/protocol.md."""
    if status == Status.CANCELLED:
        # Whoever still waits has not called it off: the key has ended.
        return ApiError(401, "invalid_api_key", "The call was called off, for its key has ended.", may_repeat=False)
    match code:
        case "rate_limited":
            return ApiError(429, code, detail or "The model is asked too often.", retry_after_s=retry_after_s or 5)
        case "endpoint_unreachable":
            return ApiError(503, code, detail or "The model is not reachable.", retry_after_s=retry_after_s or 5)
        case "context_full":
            return ApiError(400, "context_length_exceeded", detail, param="messages")
        case "refused":
            return ApiError(400, "endpoint_rejected", detail)
        case "quota":
            return ApiError(402, "insufficient_quota", detail, may_repeat=False)
        case "no_endpoint":
            return ApiError(404, "model_not_found", "This model is not set up any more.", param="model")
        case "files_unread":
            return ApiError(422, code, detail, param="messages")
        case "endpoint_rejected":
            return ApiError(503, code, detail, may_repeat=False)
        case "interrupted" | "endpoint_dropped":
            words = "The call was interrupted before its end; asking again may be paid for again."
            return ApiError(500, code, detail or words, may_repeat=False)
    return ApiError(500, "internal_error", "Something went wrong here. It has been noted.", may_repeat=False)
