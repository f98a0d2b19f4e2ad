"""Every engine over real HTTP on the loopback: what it finds, and what it says when it cannot."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from search.web.guard import Guard
from search.web.providers.asking import MAX_BYTES, engine_client
from search.web.providers.brave import Brave
from search.web.providers.ddgs import Ddgs, ask_ddgs
from search.web.providers.generic import Fields, GenericJson
from search.web.providers.provider import Failure, FailureCode, Provider, Query, Result, Results
from search.web.providers.searxng import SearXNG
from search.web.providers.tavily import Tavily
from tests.search.web.listening import Listener
from tests.search.web.small_web import SmallWeb

HOST = "engine.test"
QUERY = Query("Talmar Brücke & Fähre", "de", 3)


class Engine:
    """An engine on the small web that answers every path with `reply`, and remembers what it was asked."""

    def __init__(self, web: SmallWeb) -> None:
        self.reply: Response = JSONResponse({})
        self.requests: list[Request] = []
        self.bodies: list[Any] = []
        for path in ("/search", "/res/v1/web/search", "/find"):
            web.pages[HOST, path] = self._answer
        self.url = web.url(HOST, "")

    async def _answer(self, request: Request) -> Response:
        self.requests.append(request)
        body = await request.body()
        self.bodies.append(json.loads(body) if body else None)
        return self.reply


@pytest.fixture
def engine(web: SmallWeb) -> Engine:
    return Engine(web)


@pytest.fixture
async def client(guard: Guard) -> AsyncIterator[httpx.AsyncClient]:
    async with engine_client(guard) as asking:
        yield asking


Make = Callable[[httpx.AsyncClient, str], Provider]
PROVIDERS: dict[str, Make] = {
    "searxng": lambda client, url: SearXNG(client, url),
    "brave": lambda client, url: Brave(client, "the-key", url),
    "tavily": lambda client, url: Tavily(client, "the-key", url),
    "json": lambda client, url: GenericJson(client, url + "/find?q={query}&n={limit}"),
}


def items(url: str = "url", title: str = "title", snippet: str = "content", **more: str) -> list[dict[str, Any]]:
    return [
        {url: "https://a.test/1?utm_source=x", title: "The <b>bridge</b>", snippet: "Built &amp; paid.\u200b", **more},
        {url: "javascript:alert(1)", title: "No page", snippet: ""},
        {url: "http://me:secret@b.test/", title: "No page either", snippet: ""},
        {url: "https://b.test/2", title: None, snippet: 7},
        {url: None},
        {url: "https://c.test/3", title: "C", snippet: "c"},
        {url: "https://d.test/4", title: "beyond the limit", snippet: "d"},
    ]


def expected(engine: str) -> tuple[Result, ...]:
    return (
        Result("https://a.test/1?utm_source=x", "The bridge", "Built & paid.", engine),
        Result("https://b.test/2", "", "", engine),
        Result("https://c.test/3", "C", "c", engine),
    )


async def test_searxng_gives_results_and_the_failures_of_its_engines(engine: Engine, client: httpx.AsyncClient) -> None:
    unresponsive = [
        ["google", "Suspended: too many requests"], ["brave", "timeout"], ["qwant", "CAPTCHA"], ["odd", "boom"], ["x"],
    ]  # fmt: skip
    engine.reply = JSONResponse({"results": items(engine="mojeek"), "unresponsive_engines": unresponsive})
    found = await SearXNG(client, engine.url + "/").search(QUERY)
    assert found.results[0] == expected("mojeek")[0]
    assert [result.url for result in found.results] == [result.url for result in expected("")]
    assert [(failure.engine, failure.code) for failure in found.failures] == [
        ("google", "rate_limited"), ("brave", "timeout"), ("qwant", "blocked"), ("odd", "failed"), ("x", "failed"),
    ]  # fmt: skip
    assert dict(engine.requests[0].query_params) == {
        "q": QUERY.text, "format": "json", "language": "de", "safesearch": "1",
    }  # fmt: skip


async def test_searxng_without_json_says_what_to_set(engine: Engine, client: httpx.AsyncClient) -> None:
    engine.reply = PlainTextResponse("Forbidden", 403)
    found = await SearXNG(client, engine.url).search(QUERY)
    assert found.failures == (Failure("searxng", "rejected", "json is not among its search.formats"),)


async def test_brave_is_asked_with_its_key(engine: Engine, client: httpx.AsyncClient) -> None:
    engine.reply = JSONResponse({"web": {"results": items(snippet="description")}})
    assert (await Brave(client, "the-key", engine.url).search(QUERY)).results == expected("brave")
    assert engine.requests[0].headers["x-subscription-token"] == "the-key"
    assert engine.requests[0].query_params["search_lang"] == "de"


async def test_brave_that_finds_nothing_has_not_failed(engine: Engine, client: httpx.AsyncClient) -> None:
    engine.reply = JSONResponse({"type": "search", "query": {}})
    assert await Brave(client, "the-key", engine.url).search(QUERY) == Results()


async def test_tavily_is_asked_with_its_key_and_for_no_texts(engine: Engine, client: httpx.AsyncClient) -> None:
    engine.reply = JSONResponse({"results": items()})
    assert (await Tavily(client, "the-key", engine.url).search(QUERY)).results == expected("tavily")
    assert engine.requests[0].headers["authorization"] == "Bearer the-key"
    assert engine.bodies[0]["query"] == QUERY.text and engine.bodies[0]["include_raw_content"] is False


async def test_any_engine_by_its_paths(engine: Engine, client: httpx.AsyncClient) -> None:
    engine.reply = JSONResponse({"data": [{"hits": [{"doc": {"link": "https://a.test/"}, "names": ["One"]}]}]})
    fields = Fields(results="data.0.hits", url="doc.link", title="names.0", snippet="nothing.here")
    provider = GenericJson(
        client, engine.url + "/find?q={query}&n={limit}&l={language}", fields, {"X-Key": "k"}, "ours"
    )
    assert await provider.search(QUERY) == Results((Result("https://a.test/", "One", "", "ours"),))
    assert dict(engine.requests[0].query_params) == {"q": QUERY.text, "n": "3", "l": "de"}
    assert engine.requests[0].headers["x-key"] == "k"


async def test_an_answer_that_is_itself_the_list(engine: Engine, client: httpx.AsyncClient) -> None:
    engine.reply = JSONResponse(items())
    fields = Fields(results="", snippet="content")
    assert (await GenericJson(client, engine.url + "/find?q={query}", fields).search(QUERY)).results == expected("json")


@pytest.mark.parametrize("template", ["https://a.test/", "https://a.test/{q}", "https://a.test/{query}{other}"])
async def test_a_template_without_a_query_or_with_unknown_names_is_refused(
    template: str, client: httpx.AsyncClient
) -> None:
    with pytest.raises(ValueError, match="url_template"):
        GenericJson(client, template)
    with pytest.raises(ValueError, match="title"):
        GenericJson(client, "https://a.test/{query}", Fields(title="a..b"))


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (JSONResponse({}, 401), "unauthorised"),
        (JSONResponse({}, 429), "rate_limited"),
        (JSONResponse({}, 402), "rate_limited"),
        (JSONResponse({}, 422), "rejected"),
        (JSONResponse({}, 500), "failed"),
        (JSONResponse({}, 503), "failed"),
        (RedirectResponse("http://169.254.169.254/"), "rejected"),
        (PlainTextResponse("<html>no json</html>"), "malformed"),
        (PlainTextResponse("[" * 100_000), "malformed"),
        (PlainTextResponse("x" * (MAX_BYTES + 1)), "malformed"),
        (JSONResponse({"results": "none", "web": {"results": {}}}), "malformed"),
    ],
    ids=str,
)
async def test_a_failure_is_a_value(
    name: str, reply: Response, code: FailureCode, engine: Engine, client: httpx.AsyncClient
) -> None:
    engine.reply = reply
    found = await PROVIDERS[name](client, engine.url).search(QUERY)
    assert found.results == ()
    assert [(failure.engine, failure.code) for failure in found.failures] == [(name, code)]


@pytest.mark.parametrize("name", PROVIDERS)
async def test_an_engine_that_is_away_is_unreachable(name: str, web: SmallWeb) -> None:
    with Listener() as gone:
        port = gone.port
    async with engine_client(Guard(web.resolver, frozenset({("127.0.0.1", port)}))) as client:
        found = await PROVIDERS[name](client, f"http://127.0.0.1:{port}").search(QUERY)
    assert [failure.code for failure in found.failures] == ["unreachable"]


@pytest.mark.parametrize("name", PROVIDERS)
async def test_an_engine_inside_needs_its_exception(name: str, engine: Engine, web: SmallWeb) -> None:
    guard = Guard(web.resolver, ports=frozenset({web.port}))
    async with engine_client(guard) as client:
        found = await PROVIDERS[name](client, engine.url).search(QUERY)
    assert [(failure.code, failure.detail) for failure in found.failures] == [("refused", "address")]
    assert engine.requests == []


def test_no_key_is_printed() -> None:
    client = httpx.AsyncClient()
    for provider in (Brave(client, "the-key"), Tavily(client, "the-key")):
        assert "the-key" not in repr(provider)
    assert "the-key" not in repr(GenericJson(client, "https://a.test/{query}", headers={"X-Key": "the-key"}))


ANSWERS: dict[str, Any] = {
    "good": [{"href": "https://a.test/", "title": "A", "body": "text"}, {"href": "ftp://a.test/", "title": "no"}],
    "same": [{"href": "http://www.a.test?utm_source=same", "title": "A again", "body": ""}],
    "none": DDGSException("No results found."),
    "busy": RatelimitException("202 Ratelimit"),
    "slow": TimeoutException("operation timed out"),
    "gone": DDGSException("error sending request: client error (Connect)"),
    "odd": DDGSException("something else"),
}


def _scripted(query: str, *, backend: str, **options: Any) -> list[dict[str, Any]]:
    answer = ANSWERS[backend]
    if isinstance(answer, Exception):
        raise answer
    return list(answer)


async def test_ddgs_asks_each_engine_and_tells_which_failed() -> None:
    found = await Ddgs(tuple(ANSWERS), _scripted).search(QUERY)
    assert found.results == (Result("https://a.test/", "A", "text", "good"),)
    assert [(failure.engine, failure.code) for failure in found.failures] == [
        ("busy", "rate_limited"), ("slow", "timeout"), ("gone", "unreachable"), ("odd", "failed"),
    ]  # fmt: skip


async def test_the_real_ddgs_without_a_way_out_says_so() -> None:
    """Its requests go to a proxy of ours that closes every connection."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def ask(query: str, **options: Any) -> Any:
        return ask_ddgs(query, proxy=proxy, **options)

    async with server:
        found = await Ddgs(("mojeek",), ask).search(QUERY)
    assert found.results == ()
    assert [failure.engine for failure in found.failures] == ["mojeek"]
