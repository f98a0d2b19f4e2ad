"""PostgreSQL, Valkey and leases going away in the middle of an answer: it waits, goes on, and loses nothing."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from django.db import connections

from chatapp.accounts.models import User
from chatapp.answers.claims import LEASE_S, claim_answers, renew
from chatapp.answers.generation import Generation
from chatapp.answers.models import Status
from chatapp.answers.valkey import client as valkey
from chatapp.endpoints.client import EndpointClient
from chatapp.endpoints.models import Endpoint
from chatapp.threads import in_thread
from ops.services import Services
from tests.chatapp.answers.stories import (
    QUICK,
    Reader,
    ask,
    cancel,
    check_story,
    ended,
    expire_lease,
    play,
    row,
    running,
    shown,
)
from tests.scripted_endpoint import TEXT, ScriptedEndpoint

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def servers(transactional_db: None, services: Services) -> Iterator[Services]:
    """Killed and started again; Django's own connection of this thread is not kept over it."""
    yield services
    connections.close_all()


@pytest.mark.parametrize("name", ["valkey", "postgres"])
async def test_a_killed_server_is_waited_for(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, servers: Services, name: str
) -> None:
    await play(endpoint, scripted, "slow:40")  # its end falls into the outage
    async with running():
        accepted = await ask(member)
        reader = await shown(accepted, 4)
        servers.kill(name)
        await asyncio.sleep(2.5)
        await asyncio.get_running_loop().run_in_executor(None, servers.revive, name)
        answer = await ended(accepted.answer_id)
    await reader.catch_up()
    assert answer.status == Status.FINISHED and answer.fence == 1
    assert reader.text == answer.message.text == TEXT
    assert len(scripted.requests) == 1


async def test_an_outage_longer_than_the_lease_is_no_takeover(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, servers: Services
) -> None:
    await play(endpoint, scripted, "slow:60")
    async with running():
        accepted = await ask(member)
        await shown(accepted, 4)
        servers.kill("postgres")
        await asyncio.sleep(LEASE_S + 0.5)
        await asyncio.get_running_loop().run_in_executor(None, servers.revive, "postgres")
        answer = await ended(accepted.answer_id)
    assert answer.status == Status.FINISHED and answer.fence == 1
    assert (await check_story(accepted)).text == TEXT


async def test_a_lost_log_is_told_from_the_rows(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "slow:40")
    async with running():
        accepted = await ask(member)
        reader = await shown(accepted, 5)
        await valkey().flushall()
        early = Reader(accepted, text=reader.text, position=reader.position)
        answer = await ended(accepted.answer_id)
    for each in (reader, early):
        await each.catch_up()
        assert each.text == answer.message.text == TEXT
        assert each.snapshots == 1 and len(each.ends) == 1


async def test_without_a_lease_nothing_is_written(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "plain")
    accepted = await ask(member)
    [claim] = await in_thread(claim_answers, 1)
    async with EndpointClient() as client:
        generation = Generation(claim, client, QUICK, time.monotonic() - 60)
        task = asyncio.create_task(generation.run())
        await asyncio.sleep(0.4)
        assert scripted.requests == [] and (await Reader(accepted).catch_up()).text == ""
        assert await in_thread(renew, [claim]) == {claim.answer_id: False}
        generation.renewed(time.monotonic())
        await task
    assert (await row(accepted.answer_id)).status == Status.FINISHED
    assert (await check_story(accepted)).text == TEXT


async def test_a_lost_claim_is_not_renewed(member: User, endpoint: Endpoint) -> None:
    await ask(member)
    [old] = await in_thread(claim_answers, 1, 0.0)
    [new] = await in_thread(claim_answers, 1)
    assert (old.fence, new.fence) == (1, 2)
    assert await in_thread(renew, [old]) == {}
    assert await in_thread(renew, [new]) == {new.answer_id: False}
    assert await in_thread(claim_answers, 1) == []


async def test_two_claims_at_once_share_nothing(member: User, endpoint: Endpoint) -> None:
    asked = [await ask(member) for _ in range(6)]
    batches = await asyncio.gather(*(in_thread(claim_answers, 4) for _ in range(4)))
    claimed = [claim.answer_id for batch in batches for claim in batch]
    assert sorted(claimed) == sorted(accepted.answer_id for accepted in asked)


async def test_cancel_races_with_a_takeover(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "prefix+slow:20", continuation="prefix_true")
    async with running(), running():
        accepted = await ask(member)
        reader = await shown(accepted, 4)
        await asyncio.gather(expire_lease(accepted.answer_id), cancel(member, accepted.answer_id))
        answer = await ended(accepted.answer_id)
        await asyncio.sleep(0.2)
    assert answer.status == Status.CANCELLED
    assert (await check_story(accepted)).text.startswith(reader.text)
