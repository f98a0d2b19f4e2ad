"""Reads of searches: what people watch while the web is searched, and what they see of it afterwards."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.conversations.access import allowed
from chatapp.errors import NotFound
from chatapp.searches.found import host_of
from chatapp.searches.models import OPEN, Search, SearchState, SiteIcon, WebPage
from chatapp.searches.words import failure_words, unread_words


@dataclass(frozen=True, slots=True)
class QueryShown:
    """`num` None: its engine has not answered yet. `failures`: sentences without their full stops."""

    text: str
    num: int | None
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PageShown:
    """`state`: "reading", "read" or "unread"; `words` say why. `page` is the frozen copy, once its search has ended."""

    url: str
    title: str
    host: str
    state: str
    words: str
    page: UUID | None
    icon_url: str


@dataclass(frozen=True, slots=True)
class SearchShown:
    """One search of an answer. `asker` may let it go while it `is_proposed`, and skip it while it `is_open`."""

    id: UUID
    answer: UUID
    asker: UUID | None
    state: str
    changes: int
    queries: tuple[QueryShown, ...]
    urls: tuple[str, ...]
    pages: tuple[PageShown, ...]
    by_model: bool  # called for by a model that searches deeply

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_proposed(self) -> bool:
        return self.state == SearchState.PROPOSED

    @property
    def num_read(self) -> int:
        return sum(page.state == "read" for page in self.pages)

    @property
    def num_pages(self) -> int:
        return len(self.pages)


def get_search(viewer: User, search_id: UUID) -> Search:
    """With its answer and message. Raises NotFound: the right to read the conversation is the right to see it."""
    searches = Search.objects.select_related("answer__message").defer("answer__token_ids", "found")
    search = searches.filter(pk=search_id, answer__message__conversation__in=allowed(viewer)).first()
    if search is None:
        raise NotFound
    return search


def read_search(viewer: User, search_id: UUID) -> SearchShown:
    """Raises NotFound."""
    return _shown([get_search(viewer, search_id)])[0]


def searches_of(answers: Sequence[Answer]) -> dict[UUID, list[SearchShown]]:
    """By answer id, in the order in which they were begun; answers without any are left out."""
    searches = Search.objects.filter(answer__in=answers).select_related("answer").defer("answer__token_ids", "found")
    shown: dict[UUID, list[SearchShown]] = defaultdict(list)
    for each in _shown(list(searches.order_by("ordinal"))):
        shown[each.answer].append(each)
    return dict(shown)


def icon_of(host: str) -> bytes:
    """The small picture of a site. Raises NotFound where it has none, or nobody has looked."""
    icon = SiteIcon.objects.filter(host=host).exclude(png=b"").first()
    if icon is None:
        raise NotFound
    return bytes(icon.png)


def icon_urls(hosts: set[str]) -> dict[str, str]:
    """By host; those without a picture are left out, so that nobody asks for what is not there."""
    known = SiteIcon.objects.filter(host__in=hosts).exclude(png=b"").values_list("host", flat=True)
    return {host: f"/sources/icons/{host}" for host in known}


def _shown(searches: Sequence[Search]) -> list[SearchShown]:
    pages: dict[tuple[UUID, int], UUID] = {
        (search, ordinal): page
        for page, search, ordinal in WebPage.objects.filter(search__in=searches).values_list("pk", "search", "ordinal")
    }
    watched = [page for search in searches for page in search.progress.get("pages", [])]
    icons = icon_urls({host_of(page["url"]) for page in watched})
    return [_one(search, pages, icons) for search in searches]


def _one(search: Search, pages: dict[tuple[UUID, int], UUID], icons: dict[str, str]) -> SearchShown:
    told = {query["query"]: query for query in search.progress.get("queries", [])}
    return SearchShown(
        id=search.pk,
        answer=search.answer_id,
        asker=search.answer.asked_by_id,
        state=search.state,
        changes=search.changes,
        queries=tuple(_query(text, told.get(text)) for text in search.queries),
        urls=tuple(search.urls),
        pages=tuple(
            _page(page, pages.get((search.pk, page["number"] or 0)), icons) for page in search.progress.get("pages", [])
        ),
        by_model=bool(search.call),
    )


def _query(text: str, told: dict[str, Any] | None) -> QueryShown:
    if told is None:
        return QueryShown(text, None, ())
    failures = tuple(failure_words(failure["engine"], failure["code"]) for failure in told["failures"])
    return QueryShown(text, told["num"], failures)


def _page(told: dict[str, Any], page: UUID | None, icons: dict[str, str]) -> PageShown:
    host = host_of(told["url"])
    return PageShown(
        url=told["url"],
        title=told["title"] or host,
        host=host,
        state=told["state"],
        words=unread_words(told["fault"], told["status"]) if told["state"] == "unread" else "",
        page=page,
        icon_url=icons.get(host, ""),
    )
