"""SearXNG: the team's own metasearch engine, by its JSON format (`search.formats` must hold json there)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from search.web.providers.asking import Failed, ask_json, failed, listed, result_of
from search.web.providers.provider import Failure, FailureCode, Query, Result, Results

# Its words for what went wrong, as they begin or occur.
_WORDS: tuple[tuple[str, FailureCode], ...] = (
    ("timeout", "timeout"),
    ("captcha", "blocked"),
    ("access denied", "blocked"),
    ("too many requests", "rate_limited"),
    ("suspended", "rate_limited"),
    ("network error", "unreachable"),
    ("parsing error", "malformed"),
)


@dataclass(frozen=True, slots=True)
class SearXNG:
    client: httpx.AsyncClient
    base_url: str
    name: str = "searxng"

    async def search(self, query: Query) -> Results:
        params = {"q": query.text, "format": "json", "language": query.language or "all", "safesearch": "1"}
        try:
            answer = await ask_json(self.client, "GET", f"{self.base_url.rstrip('/')}/search", params=params)
            found = [result for item in listed(answer, "results") if (result := _result(item))]
        except Failed as error:
            if error.detail == "HTTP 403":  # what it answers where the format is not switched on
                return failed(self.name, Failed("rejected", "json is not among its search.formats"))
            return failed(self.name, error)
        return Results(tuple(found[: query.limit]), tuple(_failures(answer)))


def _result(item: Any) -> Result | None:
    if not isinstance(item, dict):
        return None
    return result_of(item.get("url"), item.get("title"), item.get("content"), str(item.get("engine") or "searxng"))


def _failures(answer: dict[str, Any]) -> Iterator[Failure]:
    """`unresponsive_engines`: pairs of a name and why."""
    for item in answer.get("unresponsive_engines") or ():
        if isinstance(item, list | tuple) and item:
            words = str(item[1]) if len(item) > 1 else ""
            yield Failure(str(item[0])[:60], _code(words.lower()), words[:80])


def _code(words: str) -> FailureCode:
    return next((code for word, code in _WORDS if word in words), "failed")
