"""What people watch of a search, made of its events: the JSON of Search.progress.

{"queries": [{"query", "num", "failures": [{"engine", "code"}]}], "pages": [{"url", "title", "state", "fault",
"status", "number"}]}, each in its order; `num` is null until its engine has answered; a state is "reading", "read" or
"unread"; `number` is that of the WebPage. Knows no row and no network.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from search.web.events import Done, Event, Found, Read, Reading, Searching


class EngineFailure(TypedDict):
    engine: str
    code: str


class QueryWatched(TypedDict):
    query: str
    num: int | None
    failures: list[EngineFailure]


class PageWatched(TypedDict):
    url: str
    title: str
    state: Literal["reading", "read", "unread"]
    fault: str
    status: int | None
    number: int | None


@dataclass(slots=True)
class Watched:
    """Takes the events of one search in. `is_new` since it was last told."""

    queries: dict[str, QueryWatched] = field(default_factory=dict)
    pages: dict[str, PageWatched] = field(default_factory=dict)
    is_new: bool = False
    _num_read: int = 0

    def take(self, event: Event) -> None:
        self.is_new = True
        match event:
            case Searching(query):
                self.queries[query] = QueryWatched(query=query, num=None, failures=[])
            case Found(query, num, failures):
                told = [EngineFailure(engine=failure.engine, code=failure.code) for failure in failures]
                self.queries[query] = QueryWatched(query=query, num=num, failures=told)
            case Reading(url, title):
                self.pages[url] = _page(url, title)
            case Read():
                self.pages[event.url] = self._read(event)
            case Done():
                pass

    def tell(self) -> dict[str, Any]:
        self.is_new = False
        return {"queries": list(self.queries.values()), "pages": list(self.pages.values())}

    def _read(self, event: Read) -> PageWatched:
        before = self.pages.get(event.url) or _page(event.url, "")
        if event.page is None:
            return {**before, "state": "unread", "fault": event.fault or "", "status": event.status}
        self._num_read += 1
        title = event.page.about.title or before["title"]
        return {**before, "state": "read", "title": title, "number": self._num_read}


def _page(url: str, title: str) -> PageWatched:
    return PageWatched(url=url, title=title, state="reading", fault="", status=None, number=None)
