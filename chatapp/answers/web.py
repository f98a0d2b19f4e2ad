"""What an answer is given of the web: what its searches have found, as much of it as its model's context allows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypedDict
from uuid import UUID

from django.utils import timezone

from chatapp.answers.claims import Claim
from chatapp.answers.gathering import holding
from chatapp.answers.models import Answer
from chatapp.context.counting import Counter
from chatapp.context.sources import place_words
from chatapp.context.web import FOUND, Web, WebPassage, WebState, cost
from chatapp.endpoints.models import Endpoint
from chatapp.evidence.models import Evidence
from chatapp.evidence.selectors import frozen_pages
from chatapp.evidence.services import Draft, freeze_pages
from chatapp.searches.models import Search, SearchState, WebPage

# A quarter of the context, and not too much of what is left beside a short one's answer.
SHARE, SHARE_OF_ROOM = 4, 2 / 3
MOST_TOKENS = 6_000
MOST_DEMO_TOKENS = 1_500  # the demonstration model reads as many in a second


class WebGiven(TypedDict):
    """Of Answer.request: what a takeover and a replay need beside the evidence to tell the model the same."""

    state: WebState
    today: str


@dataclass(frozen=True, slots=True)
class WebPlan:
    """`given` None: nothing was searched for, or it was called off."""

    given: WebGiven | None = None
    drafts: tuple[Draft, ...] = ()
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Placed:
    """A passage with where it stands: the search, the best rank of its page, its place in the page."""

    draft: Draft
    passage: WebPassage
    search: int
    page: int
    ordinal: int


def room_for_web(endpoint: Endpoint, room_tokens: int) -> int:
    """Of `room_tokens` that a prompt may hold, what pages may take."""
    most = MOST_DEMO_TOKENS if endpoint.is_local else MOST_TOKENS
    return max(0, min(most, endpoint.context_length // SHARE, int(room_tokens * SHARE_OF_ROOM)))


def plan_of_web(answer: Answer, endpoint: Endpoint, room_tokens: int, counter: Counter) -> WebPlan:
    """By the searches that came before the question; those that its model asks for are told behind their calls."""
    searches = list(Search.objects.filter(answer=answer, call=""))
    states = {search.state for search in searches}
    today = timezone.localdate().isoformat()
    if not states & {SearchState.DONE, SearchState.FAILED}:
        return WebPlan(WebGiven(state="none", today=today)) if answer.deep else WebPlan()
    room = room_for_web(endpoint, room_tokens) - counter.count(FOUND)
    kept = _fitting(_placed(searches), room, counter)
    if not kept:
        state: WebState = "nothing" if SearchState.DONE in states else "failed"
        return WebPlan(WebGiven(state=state, today=today), tokens=counter.count(FOUND))
    kept.sort(key=lambda each: (each.search, each.page, each.ordinal))
    tokens = counter.count(FOUND) + sum(cost(each.passage, counter) for each in kept)
    return WebPlan(WebGiven(state="found", today=today), tuple(each.draft for each in kept), tokens)


def web_of(given: WebGiven | None, passages: Sequence[WebPassage], *, is_deep: bool) -> Web | None:
    if given is None or (given["state"] == "none" and not is_deep):
        return None
    return Web(given["state"], given["today"], tuple(passages), is_deep)


def freeze_web(claim: Claim, answer_id: UUID, plan: WebPlan) -> None:
    """Raises FencedOut where the claim holds no more."""
    if plan.drafts or Evidence.objects.filter(answer=answer_id, page__isnull=False).exists():
        with holding(claim):
            freeze_pages(answer_id, plan.drafts)


def frozen_web(answer_id: UUID) -> list[WebPassage]:
    """The passages as the prompt tells them, by their numbers."""
    return told_of(frozen_pages(answer_id))


def told_of(numbered: Sequence[tuple[int, Draft]]) -> list[WebPassage]:
    pages = WebPage.objects.defer("blocks").in_bulk([draft.page_id for _, draft in numbered if draft.page_id])
    return [_passage(number, draft, pages.get(draft.page_id)) for number, draft in numbered if draft.page_id]


def new_in(search: Search, room_tokens: int, counter: Counter, known: Collection[str]) -> list[Draft]:
    """The passages that a search has found, without texts that are `known`: the best that fit, page by page."""
    placed = [each for each in _placed([search]) if each.draft.text not in known]
    kept = _fitting(placed, room_tokens, counter)
    return [each.draft for each in sorted(kept, key=lambda each: (each.page, each.ordinal))]


def _placed(searches: Sequence[Search]) -> list[_Placed]:
    """Of all searches, the best of each first; a text that two pages have is given once."""
    placed: list[_Placed] = []
    seen: set[str] = set()
    for search in searches:
        pages = {page.ordinal: page for page in search.pages.defer("blocks")}
        ranks: dict[int, int] = {}
        for found in search.found:
            if found["text"] in seen or found["page"] not in pages:
                continue
            seen.add(found["text"])
            page = pages[found["page"]]
            draft = Draft(
                upload_id=None,
                source_id=page.pk,
                source_sha256=page.sha256,
                name=page.title or page.site,
                headings=tuple(found["headings"]),
                place=found["place"],
                text=found["text"],
                score=found["score"],
                page_id=page.pk,
            )
            rank = ranks.setdefault(found["page"], len(ranks))
            placed.append(_Placed(draft, _passage(0, draft, page), search.ordinal, rank, found["ordinal"]))
    return placed


def _fitting(placed: Sequence[_Placed], room_tokens: int, counter: Counter) -> list[_Placed]:
    """From the first, what fits; a long one leaves its place to a shorter one behind it."""
    kept, used = [], 0
    for each in placed:
        tokens = cost(each.passage, counter)
        if used + tokens <= room_tokens:
            kept.append(each)
            used += tokens
    return kept


def _passage(number: int, draft: Draft, page: WebPage | None) -> WebPassage:
    return WebPassage(
        number=number,
        page=str(draft.source_id),
        title=draft.name,
        site=page.site if page else "",
        date=page.date.isoformat() if page and page.date else "",
        place=place_words(draft.place),
        headings=draft.headings,
        text=draft.text,
        url=page.url if page else "",
    )
