"""A call as it is listened to: entries that come twice, that are lost, and a row that has everything once more."""

from dataclasses import replace
from uuid import UUID

import pytest

from chatapp.accounts.models import User
from chatapp.answers.models import Status
from chatapp.programs import log
from chatapp.programs.claiming import CallEnding, claim_calls, end_call
from chatapp.programs.errors import ApiError
from chatapp.programs.following import Words, follow
from chatapp.programs.models import ApiKey, Call
from chatapp.programs.result import Result, Tokens
from chatapp.threads import in_thread
from tests.chatapp.programs.conftest import new_secret

pytestmark = pytest.mark.django_db(transaction=True)
RESULT = Result("abcdefgh", "hm, so", (), "stop", Tokens(1, 0, 2))


@pytest.fixture
def call_id(member: User) -> UUID:
    new_secret(member)
    return Call.objects.create(key=ApiKey.objects.get(), kind="chat", model_id="plain", request={}).pk


async def end(ending: CallEnding) -> None:
    [claim] = await in_thread(claim_calls, 1)
    assert await in_thread(end_call, claim, ending)


async def heard(call_id: UUID) -> tuple[list[tuple[str, str]], Result]:
    pieces = [piece async for piece in follow(call_id)]
    *words, result = pieces
    assert isinstance(result, Result)
    return [(each.part, each.text) for each in words if isinstance(each, Words)], result


async def test_words_come_in_order_and_once(call_id: UUID) -> None:
    for at, text in ((0, "ab"), (0, "abc"), (3, "de"), (4, "efgh")):
        await log.say(call_id, "text", at, text)
    await log.say(call_id, "reasoning", 0, "hm, so")
    await end(CallEnding(Status.FINISHED, result=RESULT))
    await in_thread(log.say_ended, call_id)
    words, result = await heard(call_id)
    assert words == [("text", "ab"), ("text", "c"), ("text", "de"), ("text", "fgh"), ("reasoning", "hm, so")]
    assert result == RESULT and not await in_thread(Call.objects.exists)


async def test_what_the_log_has_lost_is_in_the_row(call_id: UUID) -> None:
    await log.say(call_id, "text", 0, "ab")
    await log.say(call_id, "text", 5, "fgh")
    await end(CallEnding(Status.FINISHED, result=RESULT))
    await in_thread(log.say_ended, call_id)
    words, _ = await heard(call_id)
    assert words == [("text", "ab"), ("reasoning", "hm, so"), ("text", "cdefgh")]


async def test_an_end_that_nobody_has_said_is_found_at_the_next_look(call_id: UUID) -> None:
    await end(CallEnding(Status.FINISHED, result=RESULT))
    words, result = await heard(call_id)
    assert result == RESULT and ("text", "abcdefgh") in words


@pytest.mark.parametrize("is_stored", [False, True])
async def test_a_failed_call_leaves_nothing_even_if_it_was_to_be_stored(call_id: UUID, is_stored: bool) -> None:
    await in_thread(Call.objects.update, is_stored=is_stored)
    await end(CallEnding(Status.FAILED, "rate_limited", "slow down", 7))
    await in_thread(log.say_ended, call_id)
    with pytest.raises(ApiError) as failed:
        await heard(call_id)
    assert (failed.value.status, failed.value.retry_after_s) == (429, 7)
    assert not await in_thread(Call.objects.exists)


async def test_a_call_that_is_gone_with_its_person_is_heard_of(call_id: UUID) -> None:
    await in_thread(User.objects.all().delete)
    with pytest.raises(ApiError) as failed:
        await heard(call_id)
    assert failed.value.status == 401


def test_a_result_is_kept_as_it_is() -> None:
    from chatapp.context.messages import ToolCall

    result = replace(RESULT, calls=(ToolCall("1", "f", "{}"),), annotations=({"type": "file_citation"},))
    assert Result.from_json(result.to_json()) == result
