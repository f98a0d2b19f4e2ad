"""What happens while the web is read, in the order in which a person may watch it. Values only."""

from dataclasses import dataclass

from search.web.page import Page
from search.web.providers.provider import Failure
from search.web.ranking import WebPassage
from search.web.unread import Fault


@dataclass(frozen=True, slots=True)
class Searching:
    query: str


@dataclass(frozen=True, slots=True)
class Found:
    """`num` results for one query; what of its engines failed."""

    query: str
    num: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """`title` is the engine's; the page may say another."""

    url: str
    title: str


@dataclass(frozen=True, slots=True)
class Read:
    """`url` as in Reading; a page with a fault gave nothing, `status` is the number of an HTTP error."""

    url: str
    page: Page | None
    fault: Fault | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """`passages` best first, each with its place in `pages`; `by_meaning` where an encoder had its say."""

    pages: tuple[Page, ...]
    passages: tuple[WebPassage, ...]
    by_meaning: bool = False


Event = Searching | Found | Reading | Read | Done
