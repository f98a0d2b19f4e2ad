"""The way of an answer with real PostgreSQL, real Valkey and endpoints that speak real HTTP."""

import asyncio

import pytest

from chatapp.accounts.models import User
from chatapp.answers.models import Answer, Status
from chatapp.endpoints.models import Endpoint
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import (
    ask,
    cancel,
    check_story,
    crashing,
    ended,
    expire_lease,
    play,
    row,
    running,
    shown,
    until,
)
from tests.scripted_endpoint import TEXT, ScriptedEndpoint

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_question_is_answered(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "plain")
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    reader = await check_story(accepted)
    assert reader.text == TEXT
    assert [event.kind for event in reader.events[:2]] != [] and reader.events[-1].kind == "answer_ended"
    assert (answer.status, answer.finish_reason, answer.model_name) == (Status.FINISHED, "stop", "plain")
    assert (answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens) == (100, 64, 40)
    assert not answer.usage_estimated and answer.first_token_ms is not None
    assert answer.request["parts"][0]["message"] == str(accepted.message_id)
    assert scripted.requests[0]["messages"][-1] == {"role": "user", "content": "What is the tide?"}
    assert scripted.requests[0]["seed"] == answer.seed


@pytest.mark.parametrize("model", ["strict", "no-usage", "no-seed", "think", "reasoning", "whole", "no-done"])
async def test_every_dialect_gives_the_same_text(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, model: str
) -> None:
    await play(endpoint, scripted, model)
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    reader = await check_story(accepted)
    assert answer.status == Status.FINISHED and reader.text == TEXT
    assert reader.reasoning == ("let me see" if model in ("think", "reasoning") else "")
    assert answer.usage_estimated == (model in ("no-usage", "whole"))
    assert answer.completion_tokens and answer.prompt_tokens


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("bad-key", "endpoint_rejected"),
        ("no-model", "endpoint_rejected"),
        ("error-string", "endpoint_rejected"),
        ("error-html", "endpoint_unreachable"),
        ("too-long", "context_full"),
        ("rate-limit:99", "rate_limited"),
        ("unavailable:99", "endpoint_unreachable"),
        ("drop:0", "endpoint_dropped"),
        ("drop:5", "interrupted"),
        ("error-at:5", "interrupted"),
    ],
)
async def test_a_failure_ends_once_with_its_code_and_keeps_the_text(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, model: str, code: str
) -> None:
    await play(endpoint, scripted, model)
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    reader = await check_story(accepted)
    assert (answer.status, answer.error_code) == (Status.FAILED, code)
    assert TEXT.startswith(reader.text) and bool(reader.text) == (code == "interrupted")
    assert "sk-" not in answer.error_detail


async def test_a_rate_limit_is_waited_out_visibly(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "rate-limit:2")
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    reader = await check_story(accepted)
    assert answer.status == Status.FINISHED and reader.notices() == ["rate_limited", "rate_limited"]
    assert [notice["code"] for notice in answer.notices] == reader.notices()


async def test_nothing_that_may_be_billed_is_asked_twice(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "drop:0")
    async with running():
        answer = await ended((await ask(member)).answer_id)
    assert answer.error_code == "endpoint_dropped" and len(scripted.requests) == 1


@pytest.mark.parametrize("way", ["prefix_true", "continue_final_message"])
async def test_a_dropped_stream_goes_on_without_a_seam(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, way: str
) -> None:
    await play(
        endpoint, scripted, ("prefix" if way == "prefix_true" else "final") + "+drop:5+drops:3", continuation=way
    )
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    reader = await check_story(accepted)
    assert answer.status == Status.FINISHED and reader.text == TEXT and len(scripted.requests) == 4
    assert reader.notices() == []


async def test_token_ids_come_back_to_our_own_worker(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "prefix+drop:7+drops:2", continuation="prefix_true", takes_token_ids=True)
    async with running():
        answer = await ended((await ask(member)).answer_id)
    assert answer.token_ids == [1000 + index for index in range(40)]
    assert scripted.requests[-1]["messages"][-1]["token_ids"] == answer.token_ids[:14]
    assert answer.completion_tokens == 40 and not answer.usage_estimated


async def test_a_queued_message_waits_for_the_answer_above(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "gate:3")
    scripted.gate.clear()
    async with running():
        first = await ask(member)
        await shown(first, 3)
        second = await ask(member, first.conversation_id, first.reply_id)
        await asyncio.sleep(0.3)
        assert (await row(second.answer_id)).status == Status.QUEUED
        scripted.gate.set()
        await ended(first.answer_id)
        await ended(second.answer_id)
    await check_story(first)
    await check_story(second)
    assert [m["role"] for m in scripted.requests[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert scripted.requests[1]["messages"][2]["content"] == TEXT


async def test_two_runners_claim_each_answer_once(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "slow:2")
    async with running(), running():
        asked = [await ask(member) for _ in range(12)]
        answers = [await ended(accepted.answer_id) for accepted in asked]
    assert {answer.fence for answer in answers} == {1}
    assert len(scripted.requests) == 12
    for accepted in asked:
        await check_story(accepted)


async def test_a_crashed_runner_is_replaced_without_a_seam(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "prefix+gate:6", continuation="prefix_true", takes_token_ids=True)
    scripted.gate.clear()
    async with crashing() as crash:
        accepted = await ask(member)
        reader = await shown(accepted, 6)
        crash()
    assert (await row(accepted.answer_id)).status == Status.RUNNING
    scripted.gate.set()
    await expire_lease(accepted.answer_id)
    async with running():
        answer = await ended(accepted.answer_id)
    await reader.catch_up()
    assert reader.text == (await check_story(accepted)).text == TEXT
    assert answer.fence == 2 and answer.token_ids == [1000 + index for index in range(40)]
    assert len(scripted.requests[-1]["messages"][-1]["token_ids"]) >= 6


async def test_a_crash_without_continuation_keeps_the_text(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "gate:6")
    scripted.gate.clear()
    async with crashing() as crash:
        accepted = await ask(member)
        reader = await shown(accepted, 6)
        crash()
    await expire_lease(accepted.answer_id)
    async with running():
        answer = await ended(accepted.answer_id)
    await check_story(accepted)
    assert answer.error_code == "interrupted" and answer.message.text == reader.text
    assert len(scripted.requests) == 1


async def test_a_zombie_writes_nothing(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "prefix+slow:30", continuation="prefix_true")
    async with running(concurrency=1):
        accepted = await ask(member)
        await shown(accepted, 5)
        async with running():
            await expire_lease(accepted.answer_id)
            answer = await ended(accepted.answer_id)
            await asyncio.sleep(0.2)
    assert answer.fence >= 2
    assert (await check_story(accepted)).text == TEXT


async def test_sigterm_hands_over_at_once(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "prefix+gate:6", continuation="prefix_true")
    scripted.gate.clear()
    async with running():
        accepted = await ask(member)
        reader = await shown(accepted, 6)
    released = await row(accepted.answer_id)
    assert released.status == Status.RUNNING and released.message.text == reader.text
    scripted.gate.set()
    async with running():
        answer = await until(accepted.answer_id, lambda answer: answer.status == Status.FINISHED, timeout_s=3)
        await ended(accepted.answer_id)
    assert answer.fence == 2
    assert (await check_story(accepted)).text == TEXT


async def test_cancel_closes_the_stream_and_keeps_what_was_shown(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "slow:20")
    async with running():
        accepted = await ask(member)
        reader = await shown(accepted, 3)
        await cancel(member, accepted.answer_id)
        answer = await ended(accepted.answer_id)
        for _ in range(100):
            if scripted.open_streams == 0:
                break
            await asyncio.sleep(0.02)
    assert scripted.closed_early == 1 and answer.status == Status.CANCELLED
    assert (await check_story(accepted)).text.startswith(reader.text)
    assert answer.completion_tokens and answer.usage_estimated


async def test_cancel_of_a_queued_answer_asks_nothing(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    accepted = await ask(member)
    await cancel(member, accepted.answer_id)
    async with running():
        await asyncio.sleep(0.3)
    assert (await row(accepted.answer_id)).status == Status.CANCELLED and scripted.requests == []
    await check_story(accepted)


async def test_cancel_while_nobody_holds_the_answer_keeps_all_that_was_shown(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "prefix+gate:6", continuation="prefix_true")
    scripted.gate.clear()
    async with crashing() as crash:
        accepted = await ask(member)
        reader = await shown(accepted, 6)
        crash()
    await cancel(member, accepted.answer_id)
    await expire_lease(accepted.answer_id)
    async with running():
        answer = await ended(accepted.answer_id)
    assert answer.status == Status.CANCELLED
    assert (await check_story(accepted)).text == reader.text


async def test_cancel_races_with_the_finish(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "plain")
    async with running():
        asked = [await ask(member) for _ in range(8)]
        await asyncio.gather(*(_cancel_after(member, a.answer_id, 0.02 * i) for i, a in enumerate(asked)))
        answers = [await ended(accepted.answer_id) for accepted in asked]
    assert {answer.status for answer in answers} <= {Status.FINISHED, Status.CANCELLED}
    for accepted in asked:
        await check_story(accepted)


async def _cancel_after(member: User, answer_id: object, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await cancel(member, answer_id)  # type: ignore[arg-type]


async def test_the_sweep_tells_what_a_crash_has_kept_back(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    async with running():
        accepted = await ask(member)
        await ended(accepted.answer_id)
        lost = Answer.objects.filter(pk=accepted.answer_id)
        await in_thread(lost.update, ended_event_at=None)
        answer = await until(accepted.answer_id, lambda a: a.ended_event_at is not None)
    assert answer.status == Status.FINISHED


async def test_odd_values_of_an_endpoint_are_stored_as_far_as_they_can_be(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "odd")
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    assert answer.status == Status.FINISHED and answer.usage_estimated
    assert (await check_story(accepted)).text == TEXT


async def test_no_endpoint_is_a_clear_end(member: User, endpoint: Endpoint) -> None:
    accepted = await ask(member)
    await in_thread(Endpoint.objects.filter(pk=endpoint.pk).update, is_enabled=False)
    async with running():
        answer = await ended(accepted.answer_id)
    assert answer.error_code == "no_endpoint"
    await check_story(accepted)
