"""Asking an engine over HTTP for JSON: through the guard, within limits, with every failure as a value."""

import json
import re
from collections.abc import Iterable, Mapping
from html import unescape
from typing import Any

import httpx

from search.web.guard import Guard
from search.web.providers.provider import Failure, FailureCode, Result, Results
from search.web.refused import Refused
from search.web.transport import GuardedTransport
from search.web.untrusted import visible
from search.web.urls import parse_url

TIMEOUT = httpx.Timeout(6.0, connect=2.0)  # a metasearch engine waits 3 s for its own engines
MAX_BYTES = 4 * 1024 * 1024
_MAX_TITLE, _MAX_SNIPPET = 300, 1000
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_CODES: dict[int, FailureCode] = {401: "unauthorised", 402: "rate_limited", 403: "unauthorised", 429: "rate_limited"}


class Failed(Exception):
    def __init__(self, code: FailureCode, detail: str = "") -> None:
        super().__init__(code)
        self.code: FailureCode = code
        self.detail = detail


def engine_client(guard: Guard) -> httpx.AsyncClient:
    """The client that engines are asked with. Its guard may hold the exception for the team's own engine."""
    return httpx.AsyncClient(transport=GuardedTransport(guard), trust_env=False, timeout=TIMEOUT)


async def ask_json(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
) -> Any:
    """The parsed answer. Raises Failed; redirects are not followed, for keys would go with them."""
    try:
        async with client.stream(method, url, params=params, headers=headers, json=body) as response:
            if response.status_code != 200:
                raise Failed(_code(response.status_code), f"HTTP {response.status_code}")
            return json.loads(await _read(response))
    except Refused as error:
        raise Failed("refused", error.reason) from error
    except httpx.TimeoutException as error:
        raise Failed("timeout") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Failed("unreachable") from error
    except (ValueError, RecursionError) as error:
        raise Failed("malformed", "no JSON") from error


async def _read(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_BYTES:
            raise Failed("malformed", "too long")
    return bytes(content)


def _code(status: int) -> FailureCode:
    return _CODES.get(status) or ("failed" if status >= 500 else "rejected")


def failed(engine: str, error: Failed) -> Results:
    return Results(failures=(Failure(engine, error.code, error.detail),))


def result_of(url: object, title: object, snippet: object, engine: str) -> Result | None:
    """None for what has no address that may be asked."""
    if not isinstance(url, str):
        return None
    try:
        parsed = str(parse_url(url))
    except Refused:
        return None
    return Result(parsed, plain(title)[:_MAX_TITLE], plain(snippet)[:_MAX_SNIPPET], engine)


def results_of(found: Iterable[Result | None], limit: int) -> Results:
    kept = [result for result in found if result]
    return Results(tuple(kept[:limit]))


def plain(text: object) -> str:
    """One line without the marks that engines put around what matched."""
    if not isinstance(text, str):
        return ""
    return " ".join(visible(unescape(_TAG.sub("", text))).split())


def listed(value: Any, *path: str) -> list[Any]:
    """The list at the end of a path of names; no list there is a malformed answer."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, list):
        raise Failed("malformed", f"no list at {'.'.join(path)}")
    return value
