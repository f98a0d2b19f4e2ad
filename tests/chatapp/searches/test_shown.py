"""A search in its reader's words: every state, how far it is, and what failed."""

import uuid
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import timezone, translation

from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.conversations.models import Conversation, Message
from chatapp.searches.models import OPEN, Search, SiteIcon, WebPage
from chatapp.searches.selectors import read_search
from chatapp.searches.shown import SearchShown

pytestmark = pytest.mark.django_db
TIDES = "tides in Talmar"


@pytest.fixture
def answer(conversation: Conversation, member: User) -> Answer:
    question = conversation.messages.create(role=Message.Role.USER, text="When is high water?", author=member)
    reply = conversation.messages.create(role=Message.Role.ASSISTANT, parent=question)
    return Answer.objects.create(message=reply, asked_by=member, client_id=uuid.uuid4(), seed=1)


def search_of(answer: Answer, state: str = "running", **fields: Any) -> Search:
    now = timezone.now()
    ended = {} if state in OPEN else {"ended_at": now}
    values = {"queries": [TIDES], "question": "q", "deadline": now, "started_at": now, **ended, **fields}
    return Search.objects.create(answer=answer, ordinal=Search.objects.count() + 1, state=state, **values)


def query(num: int | None, *failed: tuple[str, str], text: str = TIDES) -> dict[str, Any]:
    return {"query": text, "num": num, "failures": [{"engine": engine, "code": code} for engine, code in failed]}


def page(number: int, state: str = "read", fault: str = "", status: int | None = None) -> dict[str, Any]:
    url = f"http://www.site{number}.test/page"
    is_read = state == "read"
    return {
        "url": url, "title": f"Page {number}", "state": state, "fault": fault, "status": status,
        "number": number if is_read else None,
    }  # fmt: skip


def seen(search: Search) -> SearchShown:
    reader = search.answer.asked_by
    assert reader
    return read_search(reader, search.pk)


READING = [page(1), page(2, "reading"), page(3, "unread", "robots"), page(4, "reading")]


@pytest.mark.parametrize(
    ("state", "fields", "words"),
    [
        ("proposed", {"started_at": None}, "Before the web is searched"),
        ("queued", {"started_at": None}, "Searching the web…"),
        ("running", {"progress": {"queries": [query(None)], "pages": []}}, "Searching the web…"),
        ("running", {"progress": {"queries": [query(8)], "pages": READING}}, "Read 1 of 3 pages…"),
        ("running", {"queries": [], "urls": ["http://a.test/"]}, "Reading the page…"),
        ("done", {"progress": {"queries": [query(8)], "pages": [page(1)]}}, f"Searched for “{TIDES}”: 1 page read"),
        (
            "done",
            {
                "queries": [TIDES, "b"],
                "progress": {"queries": [query(8), query(2, text="b")], "pages": [page(1), page(2)]},
            },
            "Searched the web: 2 queries, 2 pages read",
        ),
        (
            "done",
            {"progress": {"queries": [query(8, ("mojeek", "timeout"))], "pages": [page(1)]}},
            f"Searched for “{TIDES}”: 1 page read · 1 engine failed",
        ),
        ("done", {"queries": [], "urls": ["u"], "progress": {"pages": [page(1)]}}, "Read “Page 1”"),
        ("done", {"queries": [], "urls": ["u", "v"], "progress": {"pages": [page(1), page(2)]}}, "2 pages read"),
        ("done", {"queries": [], "urls": ["u"], "progress": {"pages": []}}, "The page could not be read"),
        ("done", {"progress": {"queries": [query(0)], "pages": []}}, "Searched the web: nothing was found"),
        (
            "done",
            {"progress": {"queries": [query(0, ("mojeek", "timeout"))], "pages": []}},
            "Nothing was found, and not every engine has answered",
        ),
        ("done", {"progress": {"queries": [query(0, ("brave", "unauthorised"))]}}, "The web could not be searched"),
        (
            "done",
            {"progress": {"queries": [query(3)], "pages": [page(1, "unread", "wall")]}},
            "Searched the web: no page could be read",
        ),
        ("failed", {}, "The search took too long"),
        ("cancelled", {}, "The search was stopped"),
        ("cancelled", {"started_at": None}, "Not searched"),
    ],
)
def test_its_line(state: str, fields: dict[str, Any], words: str, answer: Answer) -> None:
    search = seen(search_of(answer, state, **fields))
    assert search.words == words
    assert search.in_trouble == (state in ("done", "failed") and not search.num_read)


def test_failures_are_told_once_an_engine_and_pages_with_why_they_were_not_read(answer: Answer) -> None:
    failed = ("mojeek", "rate_limited")
    progress = {
        "queries": [query(3, failed), query(0, failed, ("searxng", "timeout"), text="b")],
        "pages": [page(1), page(2, "unread", "status", 404), page(3, "unread", "robots"), page(4, "reading")],
    }
    search = seen(search_of(answer, queries=[TIDES, "b", "c"], progress=progress))
    assert [(each.text, each.num) for each in search.queries] == [(TIDES, 3), ("b", None), ("c", None)]
    assert search.failures == ("mojeek takes no more queries for now", "SearXNG did not answer in time")
    assert [(each.state, each.words) for each in search.pages] == [
        ("read", ""), ("unread", "answered with error 404"),
        ("unread", "its site asks programs not to read it"), ("reading", ""),
    ]  # fmt: skip


def test_pages_open_their_copies_and_icons_are_asked_for_where_they_are(answer: Answer) -> None:
    search = search_of(answer, "done", progress={"queries": [query(2)], "pages": [page(1), page(2)]})
    copy = WebPage.objects.create(search=search, ordinal=2, url=page(2)["url"], sha256="0" * 64, blocks=[])
    SiteIcon.objects.create(host="site1.test", png=b"\x89PNG")
    SiteIcon.objects.create(host="site2.test")
    first, second = seen(search).pages
    assert (first.icon_url, first.page) == ("/sources/icons/site1.test", None)
    assert (second.icon_url, second.page, second.host) == ("", copy.pk, "site2.test")


def test_only_whoever_asked_is_given_the_buttons(answer: Answer, member: User, outsider: User) -> None:
    search = seen(search_of(answer, "proposed", started_at=None))
    mine = render_to_string("searches/_search.html", {"search": search, "user": member})
    assert 'name="queries"' in mine and TIDES in mine and " open>" in mine
    other = render_to_string("searches/_search.html", {"search": search, "user": outsider})
    assert 'name="queries"' not in other and "The person who asked is shown the queries" in other


def test_what_pages_say_is_text(answer: Answer, member: User) -> None:
    told = page(1) | {"title": "<script>alert(1)</script>"}
    search = seen(search_of(answer, progress={"queries": [query(1)], "pages": [told]}))
    assert "<script>" not in render_to_string("searches/_search.html", {"search": search, "user": member})


def test_in_the_readers_language(answer: Answer) -> None:
    search = search_of(answer, progress={"queries": [query(8)], "pages": READING})
    with translation.override("de"):
        assert seen(search).words == "1 von 3 Seiten gelesen …"
    with translation.override("zh-hans"):
        assert seen(search).words == "已阅读 1/3 个网页…"
