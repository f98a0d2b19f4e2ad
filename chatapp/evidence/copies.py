"""The frozen copies of pages of the web: one with its passage in place, and the list of all that an answer has read."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.conversations.access import allowed
from chatapp.errors import NotFound
from chatapp.evidence.marks import numbers_in
from chatapp.evidence.models import Evidence
from chatapp.evidence.parts import Part, part_of, shortened
from chatapp.searches.found import host_of
from chatapp.searches.models import WebPage
from chatapp.searches.selectors import icon_urls
from search.web.fragments import live_link

AROUND = 30_000  # characters on either side of the passage
EXCERPT_CHARACTERS = 200  # of a row in the list


@dataclass(frozen=True, slots=True)
class PageCopy:
    """`live_url` scrolls the live page to the passage, where a browser can. `icon_url` is ours; "" for a site without.

    Where `begins_late` or `ends_early` the copy has more text than is shown; `is_cut` says that the page had.
    """

    answer: UUID
    site: str
    dated: date | None
    read_at: datetime
    live_url: str
    icon_url: str
    is_cut: bool
    begins_late: bool = False
    ends_early: bool = False


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page in the list; `numbers` are what its marks in the answer show, none where it is not cited."""

    id: UUID
    title: str
    site: str
    dated: date | None
    icon_url: str
    excerpt: str
    numbers: tuple[int, ...]
    evidence: UUID | None  # the passage that it was cited for first


def get_page(viewer: User, page_id: UUID) -> WebPage:
    """Raises NotFound: the right to read the conversation is the right to see what its answers rest on."""
    readable = WebPage.objects.filter(search__answer__message__conversation__in=allowed(viewer))
    page = readable.select_related("search").filter(pk=page_id).first()
    if page is None:
        raise NotFound
    return page


def copy_of(page: WebPage, place: dict[str, Any], excerpt: str) -> tuple[PageCopy, tuple[Part, ...]]:
    """`page` with its search. Without an excerpt the copy from its beginning."""
    blocks: list[dict[str, Any]] = page.blocks
    hits = _hits(blocks, place, excerpt)
    first, last = _window(blocks, hits)
    shown = enumerate(blocks[first : last + 1], start=first)
    parts = tuple(_marked(block, excerpt) if index in hits else _plain(block) for index, block in shown)
    copy = PageCopy(
        answer=page.search.answer_id,
        site=page.site,
        dated=page.date,
        read_at=page.read_at,
        live_url=live_link(page.url, str(place.get("fragment", ""))),
        icon_url=icon_urls({host_of(page.url)}).get(host_of(page.url), ""),
        is_cut=page.is_cut,
        begins_late=first > 0,
        ends_early=last < len(blocks) - 1,
    )
    return copy, parts


def pages_of_answer(answer: Answer) -> list[PageRow]:
    """Each address once: the cited ones by the numbers that their marks show, then the others as they were read."""
    pages = list(WebPage.objects.filter(search__answer=answer).order_by("search__ordinal", "ordinal"))
    urls = {page.pk: page.url for page in pages}
    icons = icon_urls({host_of(page.url) for page in pages})
    passages: dict[str, list[Evidence]] = defaultdict(list)
    evidence = Evidence.objects.filter(answer=answer, page__isnull=False).select_related("excerpt")
    shown = _shown_numbers(answer, evidence)
    for row in sorted(evidence, key=lambda row: shown.get(row.number, len(shown) + row.number)):
        passages[urls.get(row.source_id, "")].append(row)
    first = {page.url: page for page in reversed(pages)}
    rows = [_row(page, icons, passages[url], shown) for url, page in reversed(first.items())]
    return sorted(rows, key=lambda row: row.numbers[:1] or (len(shown) + 1,))


def _shown_numbers(answer: Answer, evidence: Iterable[Evidence]) -> dict[int, int]:
    """As static/js/models/mark_numbers.js counts them: every source that is cited, files too, by first use."""
    known = set(Evidence.objects.filter(answer=answer).values_list("number", flat=True))
    cited = [number for number in numbers_in(answer.message.text) if number in known]
    return {number: place for place, number in enumerate(cited, start=1)}


def _row(page: WebPage, icons: dict[str, str], passages: Sequence[Evidence], shown: dict[int, int]) -> PageRow:
    """`passages` of this page, the cited ones first, in the order of their marks."""
    numbers = tuple(shown[each.number] for each in passages if each.number in shown)
    first = next((block["text"] for block in page.blocks if block["kind"] == "text"), "")
    text = passages[0].text if passages else first
    return PageRow(
        id=page.pk,
        title=page.title or page.site,
        site=page.site,
        dated=page.date,
        icon_url=icons.get(host_of(page.url), ""),
        excerpt=shortened(text, EXCERPT_CHARACTERS),
        numbers=numbers,
        evidence=passages[0].pk if numbers else None,
    )


def _hits(blocks: Sequence[dict[str, Any]], place: dict[str, Any], excerpt: str) -> range:
    """The blocks that the passage was made of: from its place on, as long as it holds them; one at least.

    Its place is a paragraph of a page; of a PDF the page, where it need not begin with the first block.
    """
    name = "paragraph" if place.get("kind") == "text" else "page"
    there = [index for index, block in enumerate(blocks) if block["place"].get(name) == place.get(name)]
    if not excerpt or not there:
        return range(0)
    start = next((index for index in there if _is_held(blocks[index], excerpt)), there[0])
    end = start + 1
    while end < len(blocks) and _is_held(blocks[end], excerpt):
        end += 1
    return range(start, end)


def _is_held(block: dict[str, Any], excerpt: str) -> bool:
    return part_of(block["kind"], block["text"], excerpt).is_hit


def _marked(block: dict[str, Any], excerpt: str) -> Part:
    part = part_of(block["kind"], block["text"], excerpt)
    return part if part.is_hit else Part(block["kind"], hit=block["text"])


def _plain(block: dict[str, Any]) -> Part:
    return part_of(block["kind"], block["text"], "")


def _window(blocks: Sequence[dict[str, Any]], hits: range) -> tuple[int, int]:
    """The first and the last block shown."""
    first, last = (hits.start, hits.stop - 1) if hits else (0, 0)
    room = AROUND
    while first > 0 and (room := room - len(blocks[first - 1]["text"])) >= 0:
        first -= 1
    room = AROUND if hits else 2 * AROUND
    while last < len(blocks) - 1 and (room := room - len(blocks[last + 1]["text"])) >= 0:
        last += 1
    return first, last
