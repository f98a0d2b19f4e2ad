"""A search done by its task: the small web asked and read, its progress told, its pages kept, and every way to end."""

import asyncio
import io
import threading
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from django.db import connection
from reportlab.pdfgen.canvas import Canvas
from starlette.requests import Request
from starlette.responses import Response

from chatapp.answers.models import Answer
from chatapp.searches import life, running
from chatapp.searches.life import Asked
from chatapp.searches.models import Search, SearchState, WebPage, WebSetting
from chatapp.searches.tasks import run_search
from tests.search.web.small_web import SITE, TRAPS
from tests.web_fixtures import SearchedWeb

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "Who built the harbour station of Talmar?"
QUERY = "harbour station Talmar"
State = SearchState


def begin(answer: Answer, *, queries: tuple[str, ...] = (), urls: tuple[str, ...] = ()) -> UUID:
    return life.begin(answer.pk, Asked(QUESTION, queries, urls))


def paper_of(*pages: str) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    for text in pages:
        canvas.drawString(72, 720, text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def done(search_id: UUID) -> Search:
    run_search(str(search_id))
    return Search.objects.get(pk=search_id)


def until(is_so: Callable[[Search], bool], search_id: UUID) -> Search:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        search = Search.objects.get(pk=search_id)
        if is_so(search):
            return search
        time.sleep(0.02)
    raise AssertionError(f"still {search.state} {search.progress}")


class Worker:
    """Does the task beside the test."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def begin(self, search_id: UUID) -> None:
        def work() -> None:
            run_search(str(search_id))
            connection.close()

        self._threads.append(threading.Thread(target=work))
        self._threads[-1].start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.wait()


def test_pages_are_read_kept_as_they_were_and_their_passages_found(answer: Answer, searched: SearchedWeb) -> None:
    searched.failures = [("qwant", "timeout")]
    search = done(begin(answer, queries=(QUERY, "Talmar 1801")))
    assert search.state == State.DONE and sorted(searched.queries) == sorted([QUERY, "Talmar 1801"])
    assert searched.languages == ["en", "en"]
    told = {each["query"]: each for each in search.progress["queries"]}
    assert told[QUERY] == {"query": QUERY, "num": 8, "failures": [{"engine": "qwant", "code": "timeout"}]}
    pages = list(search.pages.all())
    assert len(pages) == 8 and [page.ordinal for page in pages] == list(range(1, 9))
    watched = {each["number"]: each for each in search.progress["pages"]}
    for page in pages:
        assert (watched[page.ordinal]["state"], watched[page.ordinal]["url"]) == ("read", page.url)
    best = search.found[0]
    assert "Clara Voss" in best["text"] and best["place"]["kind"] == "text" and best["score"] > 0
    page = pages[best["page"] - 1]
    assert page.url == searched.web.url(SITE, "/en/0")
    assert (page.title, page.site, str(page.date)) == ("harbour station | Talmar", "Talmar Chronicle", "2024-03-01")
    assert "Clara Voss" in "".join(block["text"] for block in page.blocks) and len(page.sha256) == 64


def test_pages_that_gave_nothing_are_told_with_their_reasons(answer: Answer, searched: SearchedWeb) -> None:
    traps = [searched.web.url(TRAPS, path) for path in ("/404", "/shell", "/to-loopback")]
    searched.urls = [*traps, *searched.articles(1)]
    search = done(begin(answer, queries=(QUERY,)))
    told = [(each["state"], each["fault"], each["status"]) for each in search.progress["pages"]]
    assert told[:3] == [("unread", "status", 404), ("unread", "scripts", None), ("unread", "address", None)]
    assert told[3][0] == "read" and search.pages.count() == 1


def test_an_engine_that_fails_is_told_and_the_search_has_ended_well(answer: Answer, searched: SearchedWeb) -> None:
    searched.is_broken = True
    search = done(begin(answer, queries=(QUERY,)))
    assert search.state == State.DONE and not search.found
    assert search.progress["queries"][0]["failures"] == [{"engine": "searxng", "code": "failed"}]


def test_the_same_query_reaches_the_engine_once(answer: Answer, searched: SearchedWeb) -> None:
    assert done(begin(answer, queries=(QUERY,))).found and done(begin(answer, queries=(QUERY,))).found
    assert searched.queries == [QUERY]


def test_of_a_page_that_was_named_everything_is_found_the_best_first(answer: Answer, searched: SearchedWeb) -> None:
    search = done(begin(answer, urls=(searched.articles(1)[0],)))
    assert searched.queries == [] and search.pages.count() == 1
    [page] = search.pages.all()
    found = "".join(passage["text"] for passage in search.found)
    assert "Clara Voss" in search.found[0]["text"]
    assert all(block["text"] in found for block in page.blocks if block["kind"] == "text")


def test_a_pdf_is_read_in_the_fence_with_its_pages(answer: Answer, searched: SearchedWeb) -> None:
    paper = paper_of("The harbour station was drawn by Clara Voss.", "It cost two crowns.")
    searched.web.add(SITE, "/paper.pdf", paper, "application/pdf")
    search = done(begin(answer, urls=(searched.web.url(SITE, "/paper.pdf"),)))
    [page] = search.pages.all()
    assert page.title == "paper.pdf" and [block["place"]["page"] for block in page.blocks] == [1, 2]
    assert search.found[0]["place"]["kind"] == "page" and "Clara Voss" in search.found[0]["text"]


def test_a_broken_pdf_ends_its_page_only(answer: Answer, searched: SearchedWeb) -> None:
    paper, article = searched.web.url(TRAPS, "/paper.pdf"), searched.articles(1)[0]
    search = done(begin(answer, urls=(paper, article)))
    assert [(each["state"], each["fault"]) for each in search.progress["pages"]] == [("unread", "broken"), ("read", "")]


def test_what_happens_is_told_while_it_happens(answer: Answer, searched: SearchedWeb, worker: Worker) -> None:
    gate = threading.Event()

    async def slow(request: Request) -> Response:
        await asyncio.to_thread(gate.wait, 5)
        return Response(
            "<p>The harbour station was built by Clara Voss, says the slow page.</p>", media_type="text/html"
        )

    searched.web.pages["slow.test", "/"] = slow
    searched.urls = [*searched.articles(2), searched.web.url("slow.test", "/")]
    search_id = begin(answer, queries=(QUERY,))
    worker.begin(search_id)
    search = until(lambda search: [p["state"] for p in search.progress.get("pages", [])].count("read") == 2, search_id)
    assert search.state == State.RUNNING and search.progress["pages"][2]["state"] == "reading"
    gate.set()
    assert until(lambda search: search.state == State.DONE, search_id).pages.count() == 3


def test_cancelling_stops_its_worker(answer: Answer, searched: SearchedWeb, worker: Worker) -> None:
    searched.urls = [searched.web.url(TRAPS, "/never"), searched.web.url(TRAPS, "/drip")]
    search_id = begin(answer, queries=(QUERY,))
    worker.begin(search_id)
    until(lambda search: bool(search.progress.get("pages")), search_id)
    began = time.monotonic()
    life.cancel([search_id])
    worker.wait()
    assert time.monotonic() - began < 5 and not WebPage.objects.exists()
    assert Search.objects.get(pk=search_id).state == State.CANCELLED


def test_a_worker_that_is_asked_to_stop_gives_it_back(
    answer: Answer, searched: SearchedWeb, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "stopping", threading.Event())
    searched.urls = [searched.web.url(TRAPS, "/never")]
    search_id = begin(answer, queries=(QUERY,))
    worker.begin(search_id)
    until(lambda search: bool(search.progress.get("pages")), search_id)
    running.stopping.set()
    assert until(lambda search: search.state == State.QUEUED, search_id).tries == 0


def test_a_web_that_was_switched_off_meanwhile_is_not_asked(answer: Answer, searched: SearchedWeb) -> None:
    search_id = begin(answer, queries=(QUERY,))
    WebSetting.objects.update(is_on=False)
    assert done(search_id).state == State.CANCELLED and searched.queries == []


def test_code_of_ours_that_breaks_ends_the_search_too(
    answer: Answer, searched: SearchedWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(running, "found_of", broken)
    assert done(begin(answer, queries=(QUERY,))).state == State.FAILED


def test_a_task_that_comes_twice_or_too_late_does_nothing(answer: Answer, searched: SearchedWeb) -> None:
    search_id = begin(answer, queries=(QUERY,))
    first = done(search_id)
    again = done(search_id)
    assert (again.changes, searched.queries) == (first.changes, [QUERY])
