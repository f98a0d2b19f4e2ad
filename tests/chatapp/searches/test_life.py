"""The life of a search: one end whatever happens, a lost worker replaced once, a person waited for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now

from chatapp.answers.models import Answer
from chatapp.searches import life
from chatapp.searches.life import Asked
from chatapp.searches.models import Search, SearchState, WebPage

pytestmark = pytest.mark.django_db(transaction=True)

ASKED = Asked("Who built it?", ("harbour station Talmar",))
State = SearchState


def row(search_id: UUID) -> Search:
    return Search.objects.get(pk=search_id)


def begun(answer: Answer, **facts: Any) -> UUID:
    return life.begin(answer.pk, ASKED, **facts)


def change(search_id: UUID, **facts: Any) -> None:
    Search.objects.filter(pk=search_id).update(**facts)


def page_of(search: Search) -> WebPage:
    return WebPage(search=search, ordinal=1, url="http://talmar.test/", sha256="0" * 64, blocks=[])


def at_once(count: int, call: Callable[[], Any]) -> list[Any]:
    def work(_: int) -> Any:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def test_a_search_is_claimed_by_one_and_ends_once_with_its_pages(answer: Answer) -> None:
    search_id = begun(answer)
    claimed = [search for search in at_once(4, lambda: life.claim(search_id)) if search]
    [search] = claimed
    assert (search.state, search.tries) == (State.RUNNING, 1)
    assert life.renew(search, {"queries": [], "pages": []}) and row(search_id).progress
    ends = at_once(4, lambda: life.end(search, {}, [], [page_of(search)]))
    assert sorted(ends) == [False, False, False, True]
    assert row(search_id).state == State.DONE and WebPage.objects.count() == 1
    assert not life.cancel([search_id]) and not life.fail(search)


def test_what_was_cancelled_takes_no_end_and_no_pages(answer: Answer) -> None:
    search_id = begun(answer)
    search = life.claim(search_id)
    assert search is not None and life.cancel([search_id])
    assert not life.renew(search), "its worker finds out"
    assert not life.end(search, {}, [], [page_of(search)])
    assert row(search_id).state == State.CANCELLED and not WebPage.objects.exists()


def test_a_worker_that_shows_no_life_is_replaced_once(answer: Answer) -> None:
    search_id = begun(answer)
    first = life.claim(search_id)
    change(search_id, lease_expires_at=Now())
    [seen] = life.look([search_id])
    assert seen.is_open and row(search_id).state == State.QUEUED
    second = life.claim(search_id)
    assert first is not None and second is not None and second.tries == 2
    assert not life.renew(first) and not life.end(first, {}, [], []), "the first one comes back too late"
    change(search_id, lease_expires_at=Now())
    life.look([search_id])
    assert row(search_id).state == State.FAILED and life.claim(search_id) is None


def test_a_worker_that_is_asked_to_stop_leaves_it_without_blame(answer: Answer) -> None:
    search_id = begun(answer)
    search = life.claim(search_id)
    assert search is not None
    life.release(search)
    again = life.claim(search_id)
    assert again is not None and again.tries == 1


def test_what_the_broker_has_lost_is_sent_again(answer: Answer, celery_sent: list[Any]) -> None:
    search_id = begun(answer)
    life.look([search_id])
    assert celery_sent == [str(search_id)]
    change(search_id, sent_at=Now() - life.SENT_AGAIN)
    life.look([search_id])
    life.look([search_id])
    assert celery_sent == [str(search_id)] * 2


@pytest.mark.parametrize(
    ("is_proposed", "is_claimed", "ends"),
    [(True, False, State.CANCELLED), (False, False, State.FAILED), (False, True, State.FAILED)],
)
def test_nobody_is_waited_for_longer_than_said(
    answer: Answer, is_proposed: bool, is_claimed: bool, ends: SearchState
) -> None:
    search_id = begun(answer, is_proposed=is_proposed)
    search = life.claim(search_id) if is_claimed else None
    assert life.look([search_id])[0].is_open
    change(search_id, deadline=Now())
    life.sweep()
    assert row(search_id).state == ends and row(search_id).ended_at is not None
    assert search is None or not life.end(search, {}, [], [])


def test_a_proposed_search_runs_with_the_queries_that_were_let_go(answer: Answer) -> None:
    search_id = begun(answer, is_proposed=True)
    assert life.claim(search_id) is None
    assert life.let_go(search_id, ["iron bridge"]) and not life.let_go(search_id, ["again"])
    search = life.claim(search_id)
    assert search is not None and search.queries == ["iron bridge"]


def test_searches_of_an_answer_that_has_ended_are_called_off(answer: Answer) -> None:
    search_id = begun(answer)
    life.sweep()
    assert row(search_id).state == State.QUEUED
    Answer.objects.filter(pk=answer.pk).update(status="failed", ended_at=Now())
    life.sweep()
    assert row(search_id).state == State.CANCELLED


def test_everything_that_a_person_could_see_counts_as_a_change(answer: Answer) -> None:
    search_id = begun(answer, is_proposed=True)
    counts = [row(search_id).changes]
    life.let_go(search_id, ["a"])
    counts.append(row(search_id).changes)
    search = life.claim(search_id)
    assert search is not None
    counts.append(row(search_id).changes)
    life.renew(search)
    assert row(search_id).changes == counts[-1], "that its worker lives is nothing to see"
    life.renew(search, {"queries": []})
    counts.append(row(search_id).changes)
    life.end(search, {}, [], [])
    counts.append(row(search_id).changes)
    assert counts == sorted(set(counts))
