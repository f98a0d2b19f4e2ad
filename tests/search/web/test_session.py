"""The web read from queries to passages, on the small web: every event, every budget, and what stops it."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from search.web.events import Done, Event, Found, Read, Reading, Searching
from search.web.fetching import Fetcher
from search.web.guard import Guard
from search.web.plain import read_plain
from search.web.providers.asking import engine_client
from search.web.providers.provider import Failure, Query, Result, Results
from search.web.providers.searxng import SearXNG
from search.web.session import Budget, Encoder, Tools, read_urls, read_web
from tests.search.web.articles import articles
from tests.search.web.small_web import SITE, TRAPS, SmallWeb

USUAL = Budget()
QUESTION = "Who built the harbour station of Talmar?"


@dataclass(frozen=True, slots=True)
class Listed:
    """An engine that answers every query with the same list."""

    urls: Sequence[str]
    failures: tuple[Failure, ...] = ()
    pause_s: float = 0.0
    name: str = "listed"

    async def search(self, query: Query) -> Results:
        await asyncio.sleep(self.pause_s)
        return Results(tuple(Result(url, "Title", "", self.name) for url in self.urls), self.failures)


@pytest.fixture
async def fetcher(web: SmallWeb) -> AsyncIterator[Fetcher]:
    async with Fetcher(Guard(web.resolver, web.exceptions)) as fetching:
        yield fetching


async def events_of(tools: Tools, budget: Budget = USUAL, queries: Sequence[str] = ("q",)) -> list[Event]:
    async with aclosing(read_web(QUESTION, queries, tools, budget)) as events:
        return [event async for event in events]


def done_of(events: Sequence[Event]) -> Done:
    assert isinstance(events[-1], Done) and sum(isinstance(event, Done) for event in events) == 1
    return events[-1]


def articles_at(web: SmallWeb, num: int = 8) -> list[str]:
    return [web.url(SITE, article.path) for article in articles()[:num]]


async def test_a_search_goes_from_queries_to_passages(web: SmallWeb, fetcher: Fetcher) -> None:
    asked: list[str] = []

    async def engine(request: Request) -> Response:
        asked.append(request.query_params["q"])
        results = [{"url": url, "title": "T", "content": "c", "engine": "e"} for url in articles_at(web)]
        return JSONResponse({"results": results, "unresponsive_engines": [["qwant", "timeout"]]})

    web.pages["searxng.test", "/search"] = engine
    async with engine_client(Guard(web.resolver, web.exceptions)) as client:
        tools = Tools(SearXNG(client, web.url("searxng.test", "")), fetcher)
        events = await events_of(tools, queries=["harbour station", "Talmar 1801"])
    assert sorted(asked) == ["Talmar 1801", "harbour station"]
    assert events[:2] == [Searching("harbour station"), Searching("Talmar 1801")]
    found = [event for event in events if isinstance(event, Found)]
    assert {event.query for event in found} == set(asked)
    assert all(event.num == 8 and event.failures[0].engine == "qwant" for event in found)
    reading = [event.url for event in events if isinstance(event, Reading)]
    assert sorted(reading) == sorted(event.url for event in events if isinstance(event, Read) and event.page)
    done = done_of(events)
    assert len(done.pages) == 8 and not done.by_meaning
    assert "Clara Voss" in done.passages[0].text and "1801" in done.passages[0].text
    assert done.pages[done.passages[0].page].url == web.url(SITE, "/en/0")


async def test_pages_that_fail_are_told_and_others_take_their_place(web: SmallWeb, fetcher: Fetcher) -> None:
    traps = [web.url(TRAPS, path) for path in ("/404", "/shell", "/wall", "/to-loopback")]
    closed = web.url("closed.test", "/page")
    tools = Tools(Listed([*traps, closed, *articles_at(web, 3)]), fetcher)
    events = await events_of(tools, Budget(max_pages=2))
    faults = {event.url: event.fault for event in events if isinstance(event, Read) and not event.page}
    assert faults == dict(zip([*traps, closed], ["status", "scripts", "wall", "address", "robots"], strict=True))
    assert len(done_of(events).pages) == 2


async def test_nothing_found_and_engines_that_failed_are_two_things(fetcher: Fetcher) -> None:
    failure = Failure("listed", "rate_limited")
    events = await events_of(Tools(Listed([], (failure,)), fetcher))
    assert events == [Searching("q"), Found("q", 0, (failure,)), Done((), ())]


async def test_an_engine_that_does_not_answer_is_a_failure(fetcher: Fetcher) -> None:
    events = await events_of(Tools(Listed([], pause_s=9), fetcher), Budget(search_s=0.1))
    assert events[1] == Found("q", 0, (Failure("listed", "timeout"),))


async def test_slow_pages_do_not_hold_the_answer(web: SmallWeb, fetcher: Fetcher) -> None:
    slow = [web.url(TRAPS, "/drip"), web.url(TRAPS, "/never")]
    began = time.monotonic()
    events = await events_of(Tools(Listed([*slow, *articles_at(web, 2)]), fetcher), Budget(read_s=1.5))
    assert time.monotonic() - began < 8
    assert len(done_of(events).pages) == 2
    assert [event.fault for event in events if isinstance(event, Read) and not event.page] == ["timeout", "timeout"]


async def test_with_half_of_the_pages_there_slow_ones_have_little_time(web: SmallWeb, fetcher: Fetcher) -> None:
    budget = Budget(read_s=60, patience_s=0.2, max_pages=4)
    events = await events_of(Tools(Listed([web.url(TRAPS, "/never"), *articles_at(web, 3)]), fetcher), budget)
    assert len(done_of(events).pages) == 3


async def test_one_page_under_two_addresses_is_read_as_one(web: SmallWeb, fetcher: Fetcher) -> None:
    urls = [web.url(SITE, "/en/0"), web.url("old.test", "/one"), web.url(SITE, "/en/1")]
    events = await events_of(Tools(Listed(urls), fetcher))
    assert len(done_of(events).pages) == 2
    assert [event.fault for event in events if isinstance(event, Read) and not event.page] == ["duplicate"]


async def test_closing_it_stops_everything(web: SmallWeb, fetcher: Fetcher) -> None:
    tools = Tools(Listed([web.url(TRAPS, "/never"), web.url(TRAPS, "/drip")]), fetcher)
    before = asyncio.all_tasks()
    async with aclosing(read_web(QUESTION, ["q"], tools)) as events:
        async for event in events:
            if isinstance(event, Reading):
                break
    assert asyncio.all_tasks() == before


async def test_cancelling_it_stops_everything(web: SmallWeb, fetcher: Fetcher) -> None:
    before = asyncio.all_tasks()
    task = asyncio.create_task(events_of(Tools(Listed([web.url(TRAPS, "/never")]), fetcher)))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


class Hashing:
    """An encoder that thinks only of the ferry; counts the texts it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def question(self, text: str) -> list[float]:
        return [1.0, 0.0]

    def passages(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += texts
        return [[1.0, 0.0] if "ferry" in text else [0.0, 1.0] for text in texts]


class Failing(Hashing):
    def passages(self, texts: Sequence[str]) -> list[list[float]]:
        raise RuntimeError(hashlib.sha256(texts[0].encode()).hexdigest())


class Slow(Hashing):
    def passages(self, texts: Sequence[str]) -> list[list[float]]:
        time.sleep(1.5)
        return super().passages(texts)


async def test_an_encoder_sees_the_best_eight_and_moves_them(web: SmallWeb, fetcher: Fetcher) -> None:
    encoder = Hashing()
    done = done_of(await events_of(Tools(Listed(articles_at(web)), fetcher, encoder=encoder)))
    assert done.by_meaning and len(encoder.texts) == 8
    plain = done_of(await events_of(Tools(Listed(articles_at(web)), fetcher)))
    place = [number for number, each in enumerate(plain.passages) if "ferry" in each.text]
    assert [number for number, each in enumerate(done.passages) if "ferry" in each.text] < place


@pytest.mark.parametrize("encoder", [Failing(), Slow()], ids=["failing", "slow"])
async def test_without_vectors_words_rank(encoder: Encoder, web: SmallWeb, fetcher: Fetcher) -> None:
    tools = Tools(Listed(articles_at(web)), fetcher, encoder=encoder)
    done = done_of(await events_of(tools, Budget(read_s=1.4)))
    assert done.passages and not done.by_meaning


async def test_addresses_of_a_person_are_read_without_an_engine(web: SmallWeb, fetcher: Fetcher) -> None:
    async def read_pdf(content: bytes, url: str) -> list[object]:
        return list(read_plain("The harbour station is drawn on sheet two of this paper.", url).blocks)

    urls = [web.url(TRAPS, "/paper.pdf"), web.url(SITE, "/en/0"), web.url(TRAPS, "/404")]
    tools = Tools(Listed([]), fetcher, read_pdf=read_pdf)
    events = [event async for event in read_urls(QUESTION, urls, tools)]
    assert {type(event) for event in events} == {Reading, Read, Done}
    assert {page.about.title for page in done_of(events).pages} == {"paper.pdf", "harbour station | Talmar"}


async def test_a_reader_of_pdf_that_breaks_ends_its_page_only(web: SmallWeb, fetcher: Fetcher) -> None:
    async def read_pdf(content: bytes, url: str) -> list[object]:
        raise KeyError("a parser's own trouble")

    tools = Tools(Listed([web.url(TRAPS, "/paper.pdf"), web.url(SITE, "/en/0")]), fetcher, read_pdf=read_pdf)
    events = await events_of(tools)
    assert [event.fault for event in events if isinstance(event, Read) and not event.page] == ["broken"]
    assert len(done_of(events).pages) == 1


@pytest.mark.parametrize("queries", [[], ["a", "b", "c", "d"]])
async def test_one_to_three_queries(queries: list[str], fetcher: Fetcher) -> None:
    with pytest.raises(ValueError, match="queries="):
        await events_of(Tools(Listed([]), fetcher), queries=queries)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="read_s=0"):
        Budget(read_s=0)
