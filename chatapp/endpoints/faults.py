"""What can go wrong at a model endpoint, and the reading of its many error shapes. Knows no HTTP client.

EndpointError
  Unreachable    nobody answered, or answered 5xx: the question was not taken
  Rejected       4xx: asking the same again cannot help
    ContextFull  the prompt is too long for the model
  RateLimited    429; `retry_after_s` where it was said
  Dropped        the answer had begun (status 200) and broke off
"""

import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from chatapp.endpoints.deltas import storable


class EndpointError(Exception):
    """`detail` is for people: it never holds a key or a message's text."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = storable(detail)[:500]


class Unreachable(EndpointError):
    code = "endpoint_unreachable"


class Rejected(EndpointError):
    """`is_askers` where the request itself is at fault, and not what the owner has set up."""

    code = "endpoint_rejected"
    is_askers = False


class ContextFull(Rejected):
    code = "context_full"


class RateLimited(EndpointError):
    code = "rate_limited"

    def __init__(self, detail: str, retry_after_s: float | None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Dropped(EndpointError):
    code = "endpoint_dropped"


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """One error in whatever shape it came; `fields` are the request fields it names in so many words."""

    message: str
    code: str = ""
    fields: tuple[str, ...] = ()


_TOO_LONG = re.compile(r"context.?length|context window|maximum context|too many tokens|prompt is too long", re.I)
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.I | re.S)


def read_error(body: str) -> ErrorBody:
    """OpenAI's nested object, a bare string, FastAPI's `detail`, `message`, HTML or plain text."""
    try:
        data = json.loads(body)
    except ValueError:
        return ErrorBody(" ".join(_TAGS.sub(" ", body).split())[:300])
    return read_error_value(data)


def read_error_value(data: Any) -> ErrorBody:
    if isinstance(data, str):
        return ErrorBody(data[:300])
    if isinstance(data, list):
        return _read_list(data)
    if not isinstance(data, dict):
        return ErrorBody("")
    for name in ("error", "detail"):
        if data.get(name):
            return read_error_value(data[name])
    fields = tuple(str(data[name]) for name in ("param", "field") if data.get(name))
    code = data.get("code") or data.get("type") or ""
    return ErrorBody(str(data.get("message") or data.get("msg") or "")[:300], str(code), fields)


def _read_list(data: list[Any]) -> ErrorBody:
    """FastAPI's list. Its `input` repeats what was sent, so only the place and the words are taken."""
    items = [item for item in data if isinstance(item, dict)]
    places = tuple(str(place) for item in items for place in item.get("loc", ()))
    words = "; ".join(str(item.get("msg", "")) for item in items)
    return ErrorBody(" ".join([words, ".".join(places)]).strip()[:300], "", places)


def fault_of_status(status: int, error: ErrorBody, model: str, retry_after_s: float | None) -> EndpointError:
    """The typed error for a response that is not 200."""
    said = f": {error.message}" if error.message else ""
    if error.code == "context_length_exceeded" or (status in (400, 413, 422) and _TOO_LONG.search(error.message)):
        return ContextFull(error.message or "The prompt is too long for the model.")
    match status:
        case 401 | 403:
            return Rejected(f"The endpoint refuses the key ({status}){said}")
        case 402:
            return Rejected(f"The endpoint's account is out of balance (402){said}")
        case 404:
            return Rejected(f"The endpoint does not know the model {model!r} or the address (404){said}")
        case 429:
            return RateLimited(f"The endpoint limits the rate of questions (429){said}", retry_after_s)
        case _ if status >= 500 or status == 408:
            return Unreachable(f"The endpoint answered {status}{said}")
        case _:
            rejected = Rejected(f"The endpoint refused the question ({status}){said}")
            rejected.is_askers = status in (400, 413, 422)
            return rejected
