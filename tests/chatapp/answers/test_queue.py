"""The queue: everybody has a turn before anybody has a second, and people are told their place in it."""

from uuid import UUID

import pytest
from django.db.models import F

from chatapp.accounts.models import User
from chatapp.answers.claims import claim_answers, places
from chatapp.answers.events import Notice
from chatapp.answers.models import Answer, Status
from chatapp.answers.services import Accepted
from chatapp.answers.waiting import GRACE, tell_places
from chatapp.endpoints.models import Endpoint
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import Reader, ask, ended, play, row, running, until
from tests.scripted_endpoint import ScriptedEndpoint

pytestmark = pytest.mark.django_db(transaction=True)


async def queue(person: User, count: int) -> list[UUID]:
    return [(await ask(person)).answer_id for _ in range(count)]


async def claimed(count: int) -> set[UUID]:
    return {claim.answer_id for claim in await in_thread(claim_answers, count)}


async def told(accepted: Accepted) -> list[int]:
    events = (await Reader(accepted).catch_up()).events
    return [event.params["position"] for event in events if isinstance(event, Notice) and event.code == "queued"]


async def grow_old() -> None:
    await in_thread(Answer.objects.update, created_at=F("created_at") - 2 * GRACE)


async def test_who_asks_much_at_once_lets_others_in(member: User, outsider: User, endpoint: Endpoint) -> None:
    many, [one] = await queue(member, 4), await queue(outsider, 1)
    assert await in_thread(places, 9) == [(many[0], 1), (one, 2), (many[1], 3), (many[2], 4), (many[3], 5)]
    assert await claimed(2) == {many[0], one}


async def test_what_runs_already_counts(member: User, outsider: User, endpoint: Endpoint) -> None:
    many = await queue(member, 3)
    assert await claimed(2) == set(many[:2])
    [one] = await queue(outsider, 1)
    assert await in_thread(places, 9) == [(one, 1), (many[2], 2)]
    assert await claimed(1) == {one}


async def test_an_orphan_comes_before_everybody(member: User, outsider: User, endpoint: Endpoint) -> None:
    orphan, *_others = await queue(member, 3)
    await in_thread(claim_answers, 1, 0.0)
    await queue(outsider, 1)
    assert await claimed(1) == {orphan}


async def test_place_is_told_once_and_again_when_it_changes(member: User, outsider: User, endpoint: Endpoint) -> None:
    [first] = await queue(member, 1)
    accepted = await ask(outsider)
    assert await in_thread(tell_places) == 0, "who has just asked is about to be claimed"
    await grow_old()
    assert await in_thread(tell_places) == 2
    assert await in_thread(tell_places) == 0
    assert await claimed(1) == {first}
    assert await in_thread(tell_places) == 1
    assert await told(accepted) == [2, 1]


async def test_full_runner_tells_who_waits_and_the_words_go_with_the_waiting(
    member: User, outsider: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "gate:2")
    scripted.gate.clear()
    async with running(concurrency=1):
        before = await ask(member)
        await until(before.answer_id, lambda answer: answer.status == Status.RUNNING)
        accepted = await ask(outsider)
        await grow_old()
        waiting = await until(accepted.answer_id, lambda answer: bool(answer.notices))
        assert waiting.status == Status.QUEUED
        assert waiting.notices == [{"code": "queued", "params": {"position": 1}}]
        scripted.gate.set()
        await ended(accepted.answer_id)
    assert await told(accepted) == [1]
    assert (await row(accepted.answer_id)).notices == []


async def test_place_at_our_own_worker_is_told(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "gate:0+place:3")
    scripted.gate.clear()
    async with running():
        accepted = await ask(member)
        waiting = await until(accepted.answer_id, lambda answer: bool(answer.notices))
        assert waiting.notices == [{"code": "queued", "params": {"position": 3}}]
        scripted.gate.set()
        answer = await ended(accepted.answer_id)
    assert answer.status == Status.FINISHED and await told(accepted) == [3]
