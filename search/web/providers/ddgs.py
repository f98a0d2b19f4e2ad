"""ddgs: public engines without a key, asked as a browser would; the default where nothing is configured.

It gives addresses and snippets only; every page is read through the guard. Each engine is asked by itself, because the
library, asked for all, hides which ones failed.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ddgs import DDGS
from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

from search.web.providers.asking import result_of
from search.web.providers.merging import merged
from search.web.providers.provider import Failure, FailureCode, Query, Result, Results

ENGINES = ("duckduckgo", "mojeek", "brave")  # web indexes of three houses
TIMEOUT_S = 5
# Where people of a language mostly are; the library asks for a country.
_REGIONS = {"de": "de-de", "fr": "fr-fr", "zh": "cn-zh", "ja": "jp-jp", "es": "es-es", "it": "it-it", "ru": "ru-ru"}
_NOTHING = "no results found"

# Its threads outlive a search that was cancelled: it cannot be interrupted, only left alone.
_threads = ThreadPoolExecutor(6, "ddgs")

Ask = Callable[..., Sequence[dict[str, Any]]]


def ask_ddgs(query: str, *, proxy: str | None = None, **options: Any) -> Sequence[dict[str, Any]]:
    return DDGS(proxy=proxy, timeout=TIMEOUT_S).text(query, **options)


@dataclass(frozen=True, slots=True)
class Ddgs:
    engines: Sequence[str] = ENGINES
    ask: Ask = field(default=ask_ddgs)
    name: str = "ddgs"

    async def search(self, query: Query) -> Results:
        asked = await asyncio.gather(*(self._ask_engine(engine, query) for engine in self.engines))
        return merged(asked, query.limit)

    async def _ask_engine(self, engine: str, query: Query) -> Results:
        region = _REGIONS.get(query.language or "", "us-en")
        ask = partial(self.ask, query.text, region=region, max_results=query.limit, backend=engine)
        try:
            found = await asyncio.get_running_loop().run_in_executor(_threads, ask)
        except DDGSException as error:
            # It raises the same for "nothing found" and for anything an engine did.
            return Results(failures=() if _NOTHING in str(error).lower() else (Failure(engine, _code(error)),))
        return Results(tuple(result for item in found if (result := _result(item, engine))))


def _result(item: dict[str, Any], engine: str) -> Result | None:
    return result_of(item.get("href"), item.get("title"), item.get("body"), engine)


def _code(error: DDGSException) -> FailureCode:
    words = str(error).lower()
    if isinstance(error, RatelimitException) or "ratelimit" in words or "429" in words:
        return "rate_limited"
    if isinstance(error, TimeoutException) or "timed out" in words or "timeout" in words:
        return "timeout"
    if "connect" in words or "dns" in words or "request" in words:
        return "unreachable"
    return "failed"
