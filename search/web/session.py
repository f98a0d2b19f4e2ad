"""One search from queries to passages: ask the engine, read the best pages at once, rank what they say.

Whatever was read within the budget is used; closing the iterator stops everything. Knows no question but the one it is
given, no conversation, and no row.
"""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from search.ranking import Ranked
from search.web.canonical import page_key
from search.web.events import Done, Event, Found, Read, Reading, Searching
from search.web.fetching import Fetcher
from search.web.languages import language_of
from search.web.page import Page
from search.web.providers.merging import merged
from search.web.providers.provider import Failure, Provider, Query, Result, Results
from search.web.ranking import WebPassage, best, by_words, passages_of
from search.web.reading import ReadPdf, read_page
from search.web.unread import Unread

logger = logging.getLogger(__name__)

MAX_QUERIES = 3


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds, pages, passages. Engines have their own time; what reading leaves over is the encoder's."""

    search_s: float = 5.0
    read_s: float = 6.0
    patience_s: float = 1.5  # once half of the pages are there
    max_pages: int = 8
    max_tries: int = 12  # addresses, where some of the first cannot be read
    max_passages: int = 8
    encoded: int = 8  # passages at most; our encoder makes eight a second

    def __post_init__(self) -> None:
        for name in ("search_s", "read_s", "max_pages", "max_tries", "max_passages"):
            if (value := getattr(self, name)) <= 0:
                raise ValueError(f"{name}={value} must be more than 0")


class Encoder(Protocol):
    """As search.encoding.Encoder: vectors of length 1. May raise anything: then words alone rank."""

    def question(self, text: str) -> Sequence[float]: ...
    def passages(self, texts: Sequence[str]) -> Sequence[Sequence[float]]: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a search works with. The fetcher's guard holds no exception for the provider's engine."""

    provider: Provider
    fetcher: Fetcher
    read_pdf: ReadPdf | None = None
    encoder: Encoder | None = None


async def read_web(
    question: str, queries: Sequence[str], tools: Tools, budget: Budget = Budget()
) -> AsyncGenerator[Event]:
    """Searching and Found for every query, Reading and Read for every page, then exactly one Done."""
    if not 1 <= len(queries) <= MAX_QUERIES:
        raise ValueError(f"queries={len(queries)} must be from 1 to {MAX_QUERIES}")
    search = _Search(question, tools, budget)
    async with aclosing(_events_of(search, search.run(queries))) as events:
        async for event in events:
            yield event


async def read_urls(
    question: str, urls: Sequence[str], tools: Tools, budget: Budget = Budget()
) -> AsyncGenerator[Event]:
    """The same for addresses that a person gave: Reading and Read for each, then exactly one Done."""
    search = _Search(question, tools, budget)
    results = [Result(url, "", "", "") for url in dict.fromkeys(urls)]
    async with aclosing(_events_of(search, search.read(results))) as events:
        async for event in events:
            yield event


async def _events_of(search: "_Search", work: Coroutine[Any, Any, None]) -> AsyncGenerator[Event]:
    task = asyncio.ensure_future(search.whole(work))
    try:
        while (event := await search.events.get()) is not None:
            yield event
        await task  # raises what went wrong in our own code
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@dataclass(slots=True)
class _Search:
    question: str
    tools: Tools
    budget: Budget
    events: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)
    pages: list[Page] = field(default_factory=list)
    _keys: set[str] = field(default_factory=set)
    _timeouts: set[asyncio.Timeout] = field(default_factory=set)
    _ends_at: float = math.inf

    async def whole(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            self.events.put_nowait(None)

    async def run(self, queries: Sequence[str]) -> None:
        found = await asyncio.gather(*(self._ask(query) for query in queries))
        await self.read(merged(found, self.budget.max_tries).results)

    async def read(self, results: Sequence[Result]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting = list(reversed(results[: self.budget.max_tries]))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.budget.max_pages, len(waiting))):
                group.create_task(self._read_next(waiting, began + self.budget.read_s))
        spent = loop.time() - began
        done = await self._rank(self.budget.read_s - spent)
        logger.info(
            "web read tried=%d pages=%d passages=%d %.2fs", len(results), len(self.pages), len(done.passages), spent
        )
        self.events.put_nowait(done)

    async def _ask(self, text: str) -> Results:
        self.events.put_nowait(Searching(text))
        query = Query(text, language_of(self.question) or language_of(text), self.budget.max_tries)
        try:
            async with asyncio.timeout(self.budget.search_s):
                results = await self.tools.provider.search(query)
        except TimeoutError:
            results = Results(failures=(Failure(self.tools.provider.name, "timeout"),))
        self.events.put_nowait(Found(text, len(results.results), results.failures))
        return results

    async def _read_next(self, waiting: list[Result], ends_at: float) -> None:
        """Reads one page; where it gives nothing, another that is still waiting."""
        while waiting and asyncio.get_running_loop().time() < min(ends_at, self._ends_at):
            result = waiting.pop()
            self.events.put_nowait(Reading(result.url, result.title))
            try:
                async with self._timeout(ends_at):
                    fetched = await self.tools.fetcher.fetch(result.url)
                    page = await read_page(fetched, self.tools.read_pdf)
            except TimeoutError:
                self.events.put_nowait(Read(result.url, None, "timeout"))
            except Unread as unread:
                self.events.put_nowait(Read(result.url, None, unread.fault, unread.status))
            else:
                if self._is_new(page):
                    self._take(page)
                    self.events.put_nowait(Read(result.url, page))
                    return
                self.events.put_nowait(Read(result.url, None, "duplicate"))

    @asynccontextmanager
    async def _timeout(self, ends_at: float) -> AsyncGenerator[None]:
        async with asyncio.timeout_at(min(ends_at, self._ends_at)) as timeout:
            self._timeouts.add(timeout)
            try:
                yield
            finally:
                self._timeouts.discard(timeout)

    def _take(self, page: Page) -> None:
        """With half of the pages there, the slow ones have little time left."""
        self.pages.append(page)
        if 2 * len(self.pages) >= self.budget.max_pages:
            self._ends_at = min(self._ends_at, asyncio.get_running_loop().time() + self.budget.patience_s)
            for timeout in self._timeouts:
                timeout.reschedule(min(timeout.when() or math.inf, self._ends_at))

    def _is_new(self, page: Page) -> bool:
        """Two addresses may lead to one page, which only the page itself says."""
        keys = {page_key(url) for url in (page.url, page.about.canonical) if url}
        is_new = self._keys.isdisjoint(keys)
        self._keys |= keys
        return is_new

    async def _rank(self, left_s: float) -> Done:
        passages, ranked = await asyncio.to_thread(self._by_words)
        cosines = await self._cosines([passages[each.passage_id] for each in ranked[: self.budget.encoded]], left_s)
        chosen = best(passages, ranked, cosines, self.budget.max_passages)
        return Done(tuple(self.pages), tuple(chosen), bool(cosines))

    def _by_words(self) -> tuple[list[WebPassage], list[Ranked]]:
        passages = [passage for number, page in enumerate(self.pages) for passage in passages_of(page, number)]
        ranked = by_words(
            self.question, passages, [page.about.title for page in self.pages], 4 * self.budget.max_passages
        )
        return passages, ranked

    async def _cosines(self, passages: Sequence[WebPassage], left_s: float) -> list[float]:
        """None where there is no encoder, no time, or no answer from it."""
        if self.tools.encoder is None or not passages or left_s <= 0:
            return []
        ask = partial(_cosines, self.tools.encoder, self.question, [passage.text for passage in passages])
        try:
            async with asyncio.timeout(left_s):
                return await asyncio.to_thread(ask)
        except Exception as error:  # whatever an encoder does, the words have already ranked
            logger.warning("web passages without vectors: %s", type(error).__name__)
            return []


def _cosines(encoder: Encoder, question: str, texts: Sequence[str]) -> list[float]:
    asked = encoder.question(question)
    return [sum(a * b for a, b in zip(asked, vector, strict=True)) for vector in encoder.passages(texts)]
