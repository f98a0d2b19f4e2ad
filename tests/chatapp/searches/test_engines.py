"""The engine of the team: which one is asked, with which key, and which addresses its client may connect to."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.conf import settings as site_settings
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chatapp.config import Config
from chatapp.endpoints.secrets import encrypt_key
from chatapp.searches.engines import engine_of
from chatapp.searches.models import WebSetting
from chatapp.searches.setting import chosen_engine, web_setting
from search.web.providers.brave import Brave
from search.web.providers.generic import GenericJson
from search.web.providers.provider import Failure, Query
from search.web.providers.searxng import SearXNG
from search.web.providers.tavily import Tavily
from search.web.refused import Refused
from tests.search.web.listening import Listener
from tests.search.web.small_web import SmallWeb

Engine = WebSetting.Engine
FOUND = {"results": [{"url": "https://a.test/", "title": "A", "content": "text"}]}


class Searx:
    """The team's SearXNG on the loopback, by its address; it counts the queries that reach it."""

    def __init__(self, web: SmallWeb) -> None:
        self.url = f"http://127.0.0.1:{web.port}"
        self.queries: list[str] = []
        web.pages["127.0.0.1", "/search"] = self._answer

    async def _answer(self, request: Request) -> Response:
        self.queries.append(request.query_params["q"])
        return JSONResponse(FOUND)


@pytest.fixture(scope="module")
def web() -> Iterator[SmallWeb]:
    with SmallWeb() as web:
        yield web


@pytest.fixture
def searx(web: SmallWeb) -> Searx:
    return Searx(web)


def configured(**changes: object) -> Config:
    """The configuration of this run with some values changed; it is frozen."""
    config = object.__new__(Config)
    for name in Config.__slots__:
        object.__setattr__(config, name, changes.get(name, getattr(site_settings.CONFIG, name)))
    return config


async def test_engine_of_the_team_is_asked_inside_the_house_and_nothing_else_there(searx: Searx) -> None:
    setting = WebSetting(engine=Engine.SEARXNG, engine_url=searx.url)
    with Listener() as other:
        async with engine_of(setting) as provider:
            assert [result.url for result in (await provider.search(Query("tides"))).results] == ["https://a.test/"]
            assert isinstance(provider, SearXNG)
            with pytest.raises(Refused):
                await provider.client.get(f"http://127.0.0.1:{other.port}/")
        assert other.num_connections == 0
    assert searx.queries == ["tides"]


async def test_its_client_is_closed_with_the_block(searx: Searx) -> None:
    async with engine_of(WebSetting(engine=Engine.SEARXNG, engine_url=searx.url)) as provider:
        assert isinstance(provider, SearXNG)
    assert provider.client.is_closed


@pytest.mark.parametrize("engine", [Engine.JSON, Engine.SEARXNG])
async def test_other_places_inside_are_no_engine(engine: Engine, searx: Searx) -> None:
    """A template has no exception; and not even SearXNG is looked for where clouds keep a machine's keys."""
    url = {Engine.JSON: searx.url + "/search?q={query}", Engine.SEARXNG: "http://169.254.169.254"}[engine]
    async with engine_of(WebSetting(engine=engine, engine_url=url)) as provider:
        found = await provider.search(Query("tides"))
    assert [failure.code for failure in found.failures] == ["refused"]
    assert searx.queries == []


async def test_a_name_that_nobody_knows_is_a_failure_of_the_engine() -> None:
    async with engine_of(WebSetting(engine=Engine.SEARXNG, engine_url="http://searxng.invalid:8080")) as provider:
        assert (await provider.search(Query("tides"))).failures == (Failure("searxng", "refused", "unresolved"),)


async def test_keys_are_opened_for_their_engine_alone() -> None:
    for engine, kind in ((Engine.BRAVE, Brave), (Engine.TAVILY, Tavily)):
        async with engine_of(WebSetting(engine=engine, engine_key=encrypt_key("sk-1"))) as provider:
            assert isinstance(provider, kind) and provider.key == "sk-1"
    given = {"engine": Engine.JSON, "engine_url": "https://a.test/?q={query}", "engine_key": encrypt_key("sk-2")}
    fields = {"results": "hits", "url": "link", "title": "name", "snippet": ""}
    async with engine_of(WebSetting(**given, engine_header="X-Key", engine_fields=fields)) as provider:
        assert isinstance(provider, GenericJson)
        assert provider.headers == {"X-Key": "sk-2"} and provider.fields.url == "link"
    async with engine_of(WebSetting(**given)) as provider:
        assert isinstance(provider, GenericJson) and provider.headers == {}


@pytest.mark.parametrize(
    ("setting", "failure"),
    [
        (
            WebSetting(engine=Engine.BRAVE, engine_key=b"of another secret key"),
            Failure("brave", "unauthorised", "the stored key cannot be read"),
        ),
        (
            WebSetting(engine=Engine.JSON, engine_url="https://a.test/"),
            Failure("json", "refused", "its template or a path cannot be used"),
        ),
    ],
    ids=["key", "template"],
)
async def test_an_engine_that_cannot_be_asked_says_why(setting: WebSetting, failure: Failure) -> None:
    async with engine_of(setting) as provider:
        assert (await provider.search(Query("tides"))).failures == (failure,)


async def test_the_same_query_leaves_the_house_once_for_the_same_engine(searx: Searx, web: SmallWeb) -> None:
    store = LocMemCache(uuid4().hex, {})
    for url in (searx.url, searx.url, searx.url + "/"):
        async with engine_of(WebSetting(engine=Engine.SEARXNG, engine_url=url), store) as provider:
            assert (await provider.search(Query("tides"))).results
    assert searx.queries == ["tides"]
    web.pages["localhost", "/search"] = web.pages["127.0.0.1", "/search"]
    async with engine_of(WebSetting(engine=Engine.SEARXNG, engine_url=f"http://localhost:{web.port}"), store) as other:
        await other.search(Query("tides"))
    assert searx.queries == ["tides", "tides"], "another engine may know something else"


@pytest.mark.django_db
def test_without_a_choice_the_configuration_says_which_engine(db: None) -> None:
    assert (web_setting().is_on, chosen_engine(web_setting())) == (True, "ddgs")
    with override_settings(CONFIG=configured(searxng_url="http://searxng:8080")):
        assert chosen_engine(web_setting()) == "searxng"
        WebSetting.objects.create(engine=Engine.BRAVE)
        assert chosen_engine(web_setting()) == "brave"


async def test_engine_of_the_configuration_is_asked(searx: Searx) -> None:
    with override_settings(CONFIG=configured(searxng_url=searx.url)):
        async with engine_of(WebSetting()) as provider:
            assert (await provider.search(Query("tides"))).results
    assert searx.queries == ["tides"]


@pytest.mark.django_db
def test_switched_off_by_the_configuration_is_off_for_everybody(db: None) -> None:
    WebSetting.objects.create(is_on=True)
    assert web_setting().is_on
    with override_settings(CONFIG=configured(web_search=False)):
        assert not web_setting().is_on
