"""A search whose worker or runner dies: the answer ends once, with its pages, and nobody searches for nothing."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.crash.asked import Asked
from tests.crash.conftest import Endpoints
from tests.crash.reader import Reader
from tests.crash.site import Site
from tests.crash.waiting import wait_until
from tests.scripted_endpoint import TEXT
from tests.search.web.small_web import SITE, SmallWeb

pytestmark = pytest.mark.crash

GATED = "<html><body><article><p>The gate of the harbour station is open again, they say.</p></article></body></html>"
SEARCH = "SELECT id, state, tries, progress, changes FROM searches_search WHERE answer_id = %s"
ENGINE = (
    "INSERT INTO searches_websetting (id, is_on, confirms_queries, reads_pasted_urls, engine, engine_url, engine_key,"
    " engine_header, engine_fields, trial) VALUES (1, true, false, true, 'searxng', %s, '', '', '{}', '{}')"
    " ON CONFLICT (id) DO UPDATE SET engine = 'searxng', engine_url = excluded.engine_url"
)


@dataclass
class Internet:
    """An engine that names an article and a page that answers only when the gate is open."""

    web: SmallWeb
    queries: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.web.pages["127.0.0.1", "/search"] = self._search
        self.web.pages["gated.test", "/"] = self._gated

    async def _search(self, request: Request) -> Response:
        self.queries.append(request.query_params["q"])
        urls = [self.web.url(SITE, "/en/0"), self.web.url("gated.test", "/")]
        return JSONResponse({"results": [{"url": url, "title": "T", "content": "c"} for url in urls]})

    async def _gated(self, request: Request) -> Response:
        for _ in range(100):
            if self.gate.is_set():
                break
            await asyncio.sleep(0.05)
        return Response(GATED, media_type="text/html")


@pytest.fixture
def internet(site: Site, small_web: SmallWeb) -> Iterator[Internet]:
    site.execute(ENGINE, f"http://127.0.0.1:{small_web.port}")
    internet = Internet(small_web)
    yield internet
    internet.gate.set()


def ask(site: Site, tab: Reader, endpoint: str, text: str) -> Asked:
    accepted = tab.request("send_message", text=text, conversation=None, parent=None, endpoint=endpoint, search=True)
    assert accepted["type"] == "accepted", accepted
    tab.follow(accepted["conversation"])
    return Asked(site, tab, accepted)


def wait_read_half(site: Site, asked: Asked) -> None:
    def is_half() -> bool:
        found = site.execute(SEARCH, asked.answer)
        pages = found[0]["progress"].get("pages", []) if found else []
        return sorted(page["state"] for page in pages) == ["read", "reading"]

    wait_until("one page is read", is_half, 30, lambda: site.execute(SEARCH, asked.answer))


def check_answered(site: Site, endpoints: Endpoints, asked: Asked, text: str, tries: int) -> None:
    row = asked.wait_end()
    assert (row.status, row.text) == ("finished", TEXT)
    [search] = site.execute(SEARCH, asked.answer)
    assert (search["state"], search["tries"]) == ("done", tries)
    [body] = [
        body
        for body in endpoints.server.requests
        if body["messages"][-1]["content"].endswith(f"\n\n{text}") and "<page" in body["messages"][-1]["content"]
    ]
    assert "Clara Voss" in body["messages"][-1]["content"]
    pages = site.execute("SELECT count(*) AS num FROM searches_webpage WHERE search_id = %s", search["id"])
    evidence = site.execute("SELECT count(*) AS num FROM evidence_evidence WHERE answer_id = %s", asked.answer)
    assert pages[0]["num"] == 2 and evidence[0]["num"] >= 2


def test_worker_killed_in_the_middle_is_replaced(
    site: Site, endpoints: Endpoints, tab: Reader, internet: Internet
) -> None:
    text = "Who built the harbour station, and died?"
    asked = ask(site, tab, endpoints.without, text)
    wait_read_half(site, asked)
    site.kill("worker-io")
    internet.gate.set()
    check_answered(site, endpoints, asked, text, tries=2)
    assert len(internet.queries) <= 2


def test_worker_asked_to_stop_leaves_it_to_the_next(
    site: Site, endpoints: Endpoints, tab: Reader, internet: Internet
) -> None:
    text = "Who built the harbour station, and stopped?"
    asked = ask(site, tab, endpoints.without, text)
    wait_read_half(site, asked)
    with site.without("worker-io"):
        [search] = site.execute(SEARCH, asked.answer)
        assert search["state"] == "queued", "given back, not lost"
        internet.gate.set()
    check_answered(site, endpoints, asked, text, tries=1)


def test_runner_killed_in_the_middle_finds_the_search_done(
    site: Site, endpoints: Endpoints, tab: Reader, internet: Internet
) -> None:
    text = "Who built the harbour station, and was followed?"
    asked = ask(site, tab, endpoints.without, text)
    wait_read_half(site, asked)
    site.kill("runner")
    internet.gate.set()
    check_answered(site, endpoints, asked, text, tries=1)
    assert len(internet.queries) == 1, "the search went on without its runner, and is not begun again"
    assert asked.row.fence == 2


def test_cancelling_while_worker_and_runner_are_killed_ends_both(
    site: Site, endpoints: Endpoints, tab: Reader, internet: Internet
) -> None:
    asked = ask(site, tab, endpoints.without, "Who built the harbour station, and never mind?")
    wait_read_half(site, asked)
    site.kill("worker-io")
    site.kill("runner")
    asked.cancel()
    assert asked.wait_end().status == "cancelled"
    wait_until("the search is called off", lambda: site.execute(SEARCH, asked.answer)[0]["state"] == "cancelled", 20)
