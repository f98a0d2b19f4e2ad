"""A search as people see it: one line, its queries, what of its engines failed, its pages. Asks no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chatapp.answers.models import Answer
from chatapp.searches.found import host_of
from chatapp.searches.models import OPEN, Search, SearchState
from chatapp.searches.progress import PageWatched, QueryWatched
from chatapp.searches.words import WHOLE_ENGINES, failure_words, unread_words

State = SearchState


@dataclass(frozen=True, slots=True)
class QueryShown:
    """`num` of results; None until its engine has answered, and where it has failed."""

    text: str
    num: int | None


@dataclass(frozen=True, slots=True)
class PageShown:
    """`state`: reading, read, unread; `words` say why not. `page` is its frozen copy, once the search is done."""

    url: str
    title: str
    host: str
    icon_url: str
    state: str
    words: str
    page: UUID | None


@dataclass(frozen=True, slots=True)
class SearchShown:
    """`words` is its one line. `asker` may let it go while it `is_proposed`, and skip it while it `is_open`.

    `by_model`: called for by a model that searches deeply. `in_trouble`: it gave nothing, which readers should see.
    """

    id: UUID
    answer: UUID
    asker: UUID | None
    state: str
    changes: int
    by_model: bool
    words: str
    queries: tuple[QueryShown, ...]
    failures: tuple[str, ...]  # sentences without their full stops
    pages: tuple[PageShown, ...]

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def is_proposed(self) -> bool:
        return self.state == State.PROPOSED

    @property
    def num_read(self) -> int:
        return sum(page.state == "read" for page in self.pages)

    @property
    def addresses(self) -> set[str]:
        return {page.url for page in self.pages}

    @property
    def in_trouble(self) -> bool:
        return self.state == State.FAILED or (self.state == State.DONE and self.num_read == 0)


@dataclass(frozen=True, slots=True)
class BudgetShown:
    """What a model that searches by itself has used of what it may."""

    searches: int
    most_searches: int
    pages: int
    most_pages: int


def budget_of(answer: Answer, searches: Sequence[SearchShown]) -> BudgetShown | None:
    """None where the model does not search by itself."""
    deep = answer.request.get("deep")
    if not deep:
        return None
    own = [search for search in searches if search.by_model]
    num_searches = sum(bool(search.queries) for search in own)
    return BudgetShown(num_searches, deep["searches"], sum(search.num_read for search in own), deep["pages"])


def show(search: Search, copies: Mapping[tuple[UUID, int], UUID], icons: Mapping[str, str]) -> SearchShown:
    """`search` with its answer; `copies` by search and number, `icons` by host."""
    told: dict[str, QueryWatched] = {each["query"]: each for each in search.progress.get("queries", [])}
    queries = tuple(QueryShown(text, _num(told.get(text))) for text in search.queries)
    failed = {(each["engine"], each["code"]): None for query in told.values() for each in query["failures"]}
    pages = tuple(
        _page(page, copies.get((search.pk, page["number"] or 0)), icons) for page in search.progress.get("pages", [])
    )
    return SearchShown(
        id=search.pk,
        answer=search.answer_id,
        asker=search.answer.asked_by_id,
        state=search.state,
        changes=search.changes,
        by_model=bool(search.call),
        words=_words(search, queries, [engine for engine, _code in failed], pages),
        queries=queries,
        failures=tuple(failure_words(engine, code) for engine, code in failed),
        pages=pages,
    )


def _num(query: QueryWatched | None) -> int | None:
    """Nothing from an engine that has failed is no result of its."""
    return None if query is None or (query["num"] == 0 and query["failures"]) else query["num"]


def _page(page: PageWatched, copy: UUID | None, icons: Mapping[str, str]) -> PageShown:
    host = host_of(page["url"])
    return PageShown(
        url=page["url"],
        title=page["title"] or host,
        host=host,
        icon_url=icons.get(host, ""),
        state=page["state"],
        words=unread_words(page["fault"], page["status"]) if page["state"] == "unread" else "",
        page=copy,
    )


def _words(search: Search, queries: Sequence[QueryShown], failed: Sequence[str], pages: Sequence[PageShown]) -> str:
    match search.state:
        case State.PROPOSED:
            return _("Before the web is searched")
        case State.QUEUED | State.RUNNING:
            return _going_on(search, pages)
        case State.CANCELLED:
            return _("The search was stopped") if search.started_at else _("Not searched")
        case State.FAILED:
            return _("The search took too long")
    return _done(search, queries, failed, pages)


def _going_on(search: Search, pages: Sequence[PageShown]) -> str:
    num_read = sum(page.state == "read" for page in pages)
    total = sum(page.state != "unread" for page in pages)
    if total:
        return ngettext("Read %(read)d of %(total)d page…", "Read %(read)d of %(total)d pages…", total) % {
            "read": num_read,
            "total": total,
        }
    if search.urls:
        return ngettext("Reading the page…", "Reading the pages…", len(search.urls))
    return _("Searching the web…")


def _done(search: Search, queries: Sequence[QueryShown], failed: Sequence[str], pages: Sequence[PageShown]) -> str:
    num_read = sum(page.state == "read" for page in pages)
    if num_read == 0:
        return _nothing(search, queries, failed)
    read = ngettext("%(n)d page read", "%(n)d pages read", num_read) % {"n": num_read}
    if search.urls and num_read == 1:
        return _("Read “%(title)s”") % {"title": next(page.title for page in pages if page.state == "read")}
    if search.urls:
        return read[:1].upper() + read[1:]
    if len(queries) == 1:
        words = _("Searched for “%(query)s”: %(pages)s") % {"query": queries[0].text, "pages": read}
    else:
        asked = ngettext("%(n)d query", "%(n)d queries", len(queries)) % {"n": len(queries)}
        words = _("Searched the web: %(queries)s, %(pages)s") % {"queries": asked, "pages": read}
    if failed:
        num = len(set(failed))
        words += " · " + ngettext("%(n)d engine failed", "%(n)d engines failed", num) % {"n": num}
    return words


def _nothing(search: Search, queries: Sequence[QueryShown], failed: Sequence[str]) -> str:
    """Engines that failed are never told as a search that found nothing."""
    if search.urls:
        return ngettext("The page could not be read", "The pages could not be read", len(search.urls))
    if any(query.num for query in queries):
        return _("Searched the web: no page could be read")
    if WHOLE_ENGINES & set(failed):
        return _("The web could not be searched")
    if failed:
        return _("Nothing was found, and not every engine has answered")
    return _("Searched the web: nothing was found")
