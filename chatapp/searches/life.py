"""The life of a search: begun or proposed, let go, claimed by compare-and-set, ended exactly once.

All on the database's clock. A worker shows every second that it lives, or another does its work anew, once. Whoever
waits asks `look` until all have ended. Knows no engine, no page and no answer.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from chatapp.answers.models import ENDED
from chatapp.searches.models import OPEN, Search, SearchState, WebPage

logger = logging.getLogger(__name__)

RUN_SEARCH = "chatapp.searches.tasks.run_search"
CONFIRMED_WITHIN = timedelta(minutes=5)  # whoever has asked may have gone; the answer is still waited for
QUEUED_FOR = timedelta(seconds=20)
RUNS_FOR = timedelta(seconds=25)  # engines 5 s, pages 6 s, and what a busy machine adds
LEASE = timedelta(seconds=5)
RENEW_S = 1.0
SENT_AGAIN = timedelta(seconds=4)  # a broker that went away has lost it, or a worker that died held it
MAX_TRIES = 2

State = SearchState


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries, or addresses; `call` names the call of a model that wants them. `tokens` is what writing them cost."""

    question: str
    queries: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    call: str = ""
    tokens: tuple[int, int] = (0, 0)
    max_pages: int = 8


@dataclass(frozen=True, slots=True)
class Seen:
    """What whoever waits sees of a search. `changes` grows with everything that a person could see."""

    id: UUID
    state: str
    changes: int

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


@transaction.atomic
def begin(answer_id: UUID, asked: Asked, *, is_proposed: bool = False) -> UUID:
    """A search that a worker does, or one that waits for a person first. The caller holds the answer."""
    last = Search.objects.filter(answer=answer_id).aggregate(last=Max("ordinal"))["last"] or 0
    search = Search.objects.create(
        answer_id=answer_id,
        ordinal=last + 1,
        call=asked.call,
        question=asked.question,
        queries=list(asked.queries),
        urls=list(asked.urls),
        max_pages=asked.max_pages,
        prompt_tokens=asked.tokens[0],
        completion_tokens=asked.tokens[1],
        state=State.PROPOSED if is_proposed else State.QUEUED,
        deadline=Now() + (CONFIRMED_WITHIN if is_proposed else QUEUED_FOR),
        sent_at=None if is_proposed else Now(),
    )
    if not is_proposed:
        transaction.on_commit(partial(_send, search.pk))
    return search.pk


@transaction.atomic
def let_go(search_id: UUID, queries: Sequence[str]) -> bool:
    """A proposed search with the queries that the person has chosen; False where it waits no longer."""
    proposed = Search.objects.filter(pk=search_id, state=State.PROPOSED)
    if not proposed.update(queries=list(queries), **_queued()):
        return False
    transaction.on_commit(partial(_send, search_id))
    return True


def claim(search_id: UUID) -> Search | None:
    """None where it has ended, is gone, is somebody else's, or has been waited for long enough."""
    waiting = Search.objects.filter(pk=search_id, state=State.QUEUED, deadline__gt=Now())
    claimed = waiting.update(
        state=State.RUNNING,
        tries=F("tries") + 1,
        changes=F("changes") + 1,
        progress={},
        started_at=Now(),
        deadline=Now() + RUNS_FOR,
        lease_expires_at=Now() + LEASE,
    )
    return Search.objects.filter(pk=search_id, state=State.RUNNING).first() if claimed else None


def renew(search: Search, progress: dict[str, Any] | None = None) -> bool:
    """Its worker lives, and perhaps something has changed; False where it is no longer this worker's."""
    told: dict[str, Any] = {} if progress is None else {"progress": progress, "changes": F("changes") + 1}
    return bool(_held(search).update(lease_expires_at=Now() + LEASE, **told))


@transaction.atomic
def end(search: Search, progress: dict[str, Any], found: Sequence[Mapping[str, Any]], pages: Iterable[WebPage]) -> bool:
    """By whoever has claimed it, with all that was read; False where it has ended otherwise meanwhile."""
    done = {"progress": progress, "found": [dict(each) for each in found], "changes": F("changes") + 1}
    if not _held(search).update(state=State.DONE, ended_at=Now(), **done):
        return False
    WebPage.objects.bulk_create(pages)
    logger.info("search %s done tries=%d", search.pk, search.tries)
    return True


def fail(search: Search) -> bool:
    """Its worker's own code broke."""
    return _end(_held(search), State.FAILED)


def release(search: Search) -> None:
    """A worker that is asked to stop leaves it to the next one; it was not its fault."""
    if _held(search).update(**_queued(), tries=F("tries") - 1):
        _send(search.pk)


def cancel(search_ids: Collection[UUID]) -> bool:
    """At once; whoever works on one finds out within a second."""
    return _end(Search.objects.filter(pk__in=search_ids), State.CANCELLED)


def cancel_of(answer_id: UUID) -> bool:
    """Those of an answer that waits for none any more."""
    return _end(Search.objects.filter(answer=answer_id), State.CANCELLED)


def look(search_ids: Collection[UUID]) -> list[Seen]:
    """How they are. Those that are late are ended here, so that nobody waits for a worker that has died."""
    searches = Search.objects.filter(pk__in=search_ids)
    _move_on(searches)
    return [Seen(*row) for row in searches.values_list("pk", "state", "changes")]


def sweep() -> None:
    """Those that nobody waits for any more."""
    _move_on(Search.objects.all())
    _end(Search.objects.filter(answer__status__in=ENDED), State.CANCELLED)


def _move_on(searches: QuerySet[Search]) -> None:
    """What its time has come for: one that nobody let go, or did; one that was lost on the way, or with its worker."""
    is_late = Q(deadline__lte=Now())
    is_lost = Q(state=State.QUEUED, sent_at__lte=Now() - SENT_AGAIN)
    is_orphaned = Q(state=State.RUNNING, lease_expires_at__lte=Now())
    due = searches.filter(is_late | is_lost | is_orphaned, state__in=OPEN)
    for search in due.only("pk", "state", "tries"):
        this = Search.objects.filter(pk=search.pk, tries=search.tries)
        if _end(this.filter(is_late, state=State.PROPOSED), State.CANCELLED) or _end(
            this.filter(is_late), State.FAILED
        ):
            continue
        if search.tries >= MAX_TRIES and _end(this.filter(is_orphaned), State.FAILED):
            continue
        if this.filter(is_orphaned).update(**_queued()) or this.filter(is_lost).update(sent_at=Now()):
            logger.info("search %s sent again tries=%d", search.pk, search.tries)
            _send(search.pk)


def _held(search: Search) -> QuerySet[Search]:
    return Search.objects.filter(pk=search.pk, state=State.RUNNING, tries=search.tries)


def _queued() -> dict[str, Any]:
    queued = {"state": State.QUEUED, "changes": F("changes") + 1, "started_at": None, "lease_expires_at": None}
    return {**queued, "sent_at": Now(), "deadline": Now() + QUEUED_FOR}


def _end(searches: QuerySet[Search], state: SearchState) -> bool:
    ended = searches.filter(state__in=OPEN).update(state=state, ended_at=Now(), changes=F("changes") + 1)
    if ended:
        logger.info("searches %s=%d", state.value, ended)
    return bool(ended)


def _send(search_id: UUID) -> None:
    try:
        current_app.send_task(RUN_SEARCH, (str(search_id),), queue="search", retry=False)
    except OperationalError as error:
        logger.warning("search %s not sent: %s", search_id, type(error).__name__)
