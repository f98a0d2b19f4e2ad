"""What a search has come to: its pages as rows, and the passages to answer from, best first. Knows no network."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any, TypedDict
from urllib.parse import urlsplit

from chatapp.searches.models import Search, WebPage
from search.web.events import Done
from search.web.page import Page
from search.web.ranking import WebPassage, passages_of

MOST_CHARACTERS = 500_000  # of a page's copy; nobody scrolls further
MOST_PASSAGES = 40  # of pages that a person named: more of them would not fit into any answer


class FoundPassage(TypedDict):
    """`page` is the number of the WebPage, `ordinal` the passage's place in it."""

    page: int
    ordinal: int
    text: str
    headings: list[str]
    place: dict[str, Any]
    score: float | None  # None: not chosen for the question


def found_of(done: Done, *, is_named: bool) -> list[FoundPassage]:
    """The passages chosen; of pages that somebody named, the others as well, from their beginnings.

    "Sum this up" holds no word of the page that it means.
    """
    chosen = [_found(passage, passage.score) for passage in done.passages]
    if not is_named:
        return chosen
    known = {(passage.page, passage.ordinal) for passage in done.passages}
    others = [each for number, page in enumerate(done.pages) for each in passages_of(page, number)]
    others.sort(key=lambda passage: (passage.ordinal, passage.page))
    chosen += [_found(each, None) for each in others if (each.page, each.ordinal) not in known]
    return chosen[:MOST_PASSAGES]


def pages_of(search: Search, pages: Sequence[Page]) -> list[WebPage]:
    return [_page(search, page, number) for number, page in enumerate(pages, start=1)]


def host_of(url: str) -> str:
    """As people say it: without the `www.`."""
    return (urlsplit(url).hostname or "").removeprefix("www.")


def _found(passage: WebPassage, score: float | None) -> FoundPassage:
    return FoundPassage(
        page=passage.page + 1,
        ordinal=passage.ordinal,
        text=passage.text,
        headings=list(passage.headings),
        place=passage.place,
        score=score,
    )


def _page(search: Search, page: Page, number: int) -> WebPage:
    blocks = [
        {"kind": block.kind, "text": block.text, "headings": list(block.headings), "place": block.place}
        for block in page.blocks
    ]
    kept = _within(blocks)
    text = "\n\n".join(block["text"] for block in kept)
    about = page.about
    return WebPage(
        search=search,
        ordinal=number,
        url=page.url,
        title=about.title[:500],
        site=(about.site or host_of(page.url))[:255],
        date=_date(about.date),
        language=(about.language or "")[:20],
        is_cut=page.is_cut or len(kept) < len(blocks),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        blocks=kept,
    )


def _within(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    total = 0
    for count, block in enumerate(blocks):
        total += len(block["text"])
        if total > MOST_CHARACTERS and count:
            return blocks[:count]
    return blocks


def _date(text: str | None) -> date | None:
    """Pages say dates that no calendar has."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
