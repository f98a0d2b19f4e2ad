"""The owner's page about the web: what is stored, what is never shown, and trying the engine."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import Celery
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chatapp.accounts.models import User
from chatapp.endpoints.secrets import decrypt_key
from chatapp.searches import trials
from chatapp.searches.models import WebSetting
from chatapp.searches.tasks import try_engine
from chatapp.searches.words import FAILURES, FAULTS
from search.web.providers.provider import FailureCode
from search.web.unread import FAULTS as ALL_FAULTS
from tests.search.web.small_web import SmallWeb
from tests.site_fixtures import signed_in

pytestmark = pytest.mark.django_db
URL = "/settings/web"
PATHS = {"json_results": "results", "json_link": "url", "json_title": "title", "json_snippet": "content"}
SWITCHES = {"is_on": "on", "reads_pasted_urls": "on"}
JSON = {"engine": "json", "json_url": "https://a.test/?q={query}", **PATHS}


@pytest.fixture
def client(owner: User) -> Client:
    return signed_in(owner)


@pytest.fixture
def web() -> Iterator[SmallWeb]:
    with SmallWeb() as web:
        yield web


def save(client: Client, **fields: str) -> HttpResponse:
    return client.post(URL, SWITCHES | fields)


def test_choice_is_what_was_typed(client: Client) -> None:
    assert save(client, **JSON, header="X-Key", key="sk-1", confirms_queries="on").status_code == 302
    setting = WebSetting.objects.get()
    assert (setting.engine, setting.engine_url, setting.engine_header) == ("json", "https://a.test/?q={query}", "X-Key")
    assert setting.engine_fields == {"results": "results", "url": "url", "title": "title", "snippet": "content"}
    assert (setting.is_on, setting.confirms_queries, setting.reads_pasted_urls) == (True, True, True)
    client.post(URL, {"engine": "searxng", "searxng_url": "http://searxng:8080/"})
    setting.refresh_from_db()
    assert (setting.engine, setting.engine_url, setting.is_on) == ("searxng", "http://searxng:8080", False)
    assert (setting.engine_header, setting.reads_pasted_urls) == ("", False)


def test_key_is_never_shown_kept_when_left_empty_and_given_to_no_other_engine(client: Client) -> None:
    save(client, engine="brave", key="sk-very-secret")
    page = client.get(URL).content.decode()
    assert "A key is stored for this engine." in page and "secret" not in page
    save(client, engine="brave", key="", confirms_queries="on")
    setting = WebSetting.objects.get()
    assert (setting.confirms_queries, decrypt_key(setting.engine_key)) == (True, "sk-very-secret")
    refused = save(client, engine="tavily", key="")
    assert refused.status_code == 422 and "This engine needs a key." in refused.content.decode()
    save(client, **JSON, header="X-Key")
    assert not WebSetting.objects.get().engine_key
    save(client, **JSON, header="X-Key", key="sk-other")
    save(client, **JSON | {"json_url": "https://elsewhere.test/?q={query}"}, header="X-Key")
    assert not WebSetting.objects.get().engine_key, "another address is another engine"
    save(client, engine="brave", key="sk-very-secret")
    save(client, engine="ddgs")
    assert not WebSetting.objects.get().engine_key


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("json_url", ""),
        ("json_url", "https://a.test/"),
        ("json_url", "https://{query}.a.test/"),
        ("json_url", "https://a.test/?q={query}&k={key}"),
        ("json_url", "ftp://a.test/{query}"),
        ("json_url", "https://me:secret@a.test/?q={query}"),
        ("json_title", "a..b"),
        ("header", "X Key: 1"),
    ],
)
def test_unusable_value_is_refused_with_words_at_its_field(client: Client, field: str, value: str) -> None:
    response = save(client, **JSON | {field: value})
    assert response.status_code == 422
    assert f'id="id_{field}_error"' in response.content.decode()
    assert not WebSetting.objects.exists()


@pytest.mark.parametrize("url", ["", "searxng:8080", "http://", "http://a.test/search?q=1", "http://me:x@a.test"])
def test_unusable_address_of_the_team_engine_is_refused(client: Client, url: str) -> None:
    assert save(client, engine="searxng", searxng_url=url).status_code == 422
    assert save(client, engine="google").status_code == 422


@pytest.mark.parametrize("path", ["", "/try"])
def test_for_a_member_the_page_is_not_there(member: User, path: str) -> None:
    client = signed_in(member)
    for method in (client.get, client.post):
        assert method(URL + path, {"engine": "ddgs", "query": "tides"}).status_code == 404
    assert not WebSetting.objects.exists()


class Searx:
    """The team's SearXNG; one of its engines has failed."""

    def __init__(self, web: SmallWeb) -> None:
        self.reply: Response = JSONResponse(
            {
                "results": [{"url": "https://www.a.test/tides", "title": "Tides <b>of</b> Talmar", "content": "High."}],
                "unresponsive_engines": [["mojeek", "timeout"]],
            }
        )
        self.queries: list[str] = []
        web.pages["127.0.0.1", "/search"] = self._answer
        WebSetting.objects.create(engine="searxng", engine_url=f"http://127.0.0.1:{web.port}")

    async def _answer(self, request: Request) -> Response:
        self.queries.append(request.query_params["q"])
        return self.reply


@pytest.fixture
def searx(web: SmallWeb, db: None) -> Searx:
    return Searx(web)


def tried(client: Client, query: str = "Talmar tides") -> str:
    """The report's page, after a worker has done it."""
    assert client.post(URL + "/try", {"query": query}).headers["Location"] == URL + "/try"
    try_engine(WebSetting.objects.get().trial["trial"])
    return client.get(URL + "/try").content.decode()


def test_trial_is_asked_of_a_worker_and_its_report_is_shown(client: Client, searx: Searx) -> None:
    client.post(URL + "/try", {"query": "Talmar tides"})
    waiting = client.get(URL + "/try")
    assert waiting.headers["Refresh"] == "1" and searx.queries == []
    trial = WebSetting.objects.get().trial["trial"]
    try_engine(trial)
    try_engine(trial)
    assert searx.queries == ["Talmar tides"], "delivered twice, done once"
    done = client.get(URL + "/try")
    page = done.content.decode()
    assert "Refresh" not in done.headers
    assert "1 result in" in page and "Tides of Talmar" in page and "a.test" in page
    assert "mojeek did not answer in time" in page


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (JSONResponse({}, 403), "json is not among its search.formats"),
        (JSONResponse({}, 500), "SearXNG had an error of its own"),
        (JSONResponse({"results": []}), "asked without an error, and nothing was found"),
    ],
    ids=["format", "error", "nothing"],
)
def test_failure_is_never_shown_as_nothing_found(reply: Response, words: str, client: Client, searx: Searx) -> None:
    searx.reply = reply
    page = tried(client)
    assert words in page
    assert ("nothing was found" in page) == ("nothing was found" in words)


def test_trial_asks_nobody_while_the_web_is_off(client: Client, searx: Searx) -> None:
    WebSetting.objects.update(is_on=False)
    assert "nothing can be tried" in client.get(URL).content.decode()
    client.post(URL + "/try", {"query": "tides"})
    assert WebSetting.objects.get().trial == {}
    WebSetting.objects.update(is_on=True)
    client.post(URL + "/try", {"query": "tides"})
    WebSetting.objects.update(is_on=False)
    try_engine(WebSetting.objects.get().trial["trial"])
    assert searx.queries == []


def test_trial_that_nobody_takes_up_ends_with_words(client: Client) -> None:
    began_at = (timezone.now() - trials.LONGEST - timedelta(seconds=1)).isoformat()
    WebSetting.objects.create(trial={"trial": "x", "query": "tides", "began_at": began_at})
    response = client.get(URL + "/try")
    assert "Refresh" not in response.headers and "worker-io" in response.content.decode()


def test_trial_while_the_broker_is_away_is_refused_with_words(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Celery(
        "away", set_as_current=False, broker="redis://127.0.0.1:1/0", broker_transport_options={"max_retries": 1}
    )
    monkeypatch.setattr(trials, "app", away)
    response = client.post(URL + "/try", {"query": "tides"}, headers={"accept": "text/html"})
    assert response.status_code == 503
    assert trials.read_trial(WebSetting.objects.get()).state == "none"


def test_report_about_another_engine_is_forgotten(client: Client, searx: Searx) -> None:
    tried(client)
    assert WebSetting.objects.get().tried_at
    save(client, engine="ddgs")
    assert WebSetting.objects.get().tried_at is None


def test_every_code_has_words() -> None:
    assert set(FAILURES) == set(FailureCode.__args__)  # type: ignore[attr-defined]
    assert set(FAULTS) == set(ALL_FAULTS)
