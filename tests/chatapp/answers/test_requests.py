"""What is asked: history within a budget, continued texts, and replays of exactly the same."""

from uuid import uuid4

import pytest

from chatapp.accounts.models import User
from chatapp.answers.models import Answer, Status
from chatapp.answers.services import Accepted, continue_answer, replay_answer
from chatapp.conversations.models import Message
from chatapp.endpoints.models import Endpoint
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import ask, cancel, check_story, ended, play, running, shown
from tests.scripted_endpoint import TEXT, ScriptedEndpoint

pytestmark = pytest.mark.django_db(transaction=True)


async def talk(member: User, turns: int, text: str) -> list[Accepted]:
    asked: list[Accepted] = []
    for _ in range(turns):
        last = asked[-1] if asked else None
        accepted = await ask(member, last and last.conversation_id, last and last.reply_id, text)
        await ended(accepted.answer_id)
        asked.append(accepted)
    return asked


async def test_oldest_turns_are_left_out_visibly(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "no-usage", context_length=1024, max_output_tokens=200)
    async with running():
        asked = await talk(member, 5, "tide " * 100)
        answer = await ended(asked[-1].answer_id)
    reader = await check_story(asked[-1])
    assert answer.status == Status.FINISHED and reader.notices() == ["context_trimmed"]
    left_out = answer.request["left_out_turns"]
    assert left_out > 0 and len(scripted.requests[-1]["messages"]) == 2 + 2 * (4 - left_out)
    assert answer.notices == [{"code": "context_trimmed", "params": {"turns": left_out}}]


async def test_a_question_too_long_names_both_numbers(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain", context_length=1024, max_output_tokens=200)
    async with running():
        accepted = await ask(member, text="tide " * 2000)
        answer = await ended(accepted.answer_id)
    await check_story(accepted)
    assert answer.error_code == "context_full" and scripted.requests == []
    assert "824" in answer.error_detail and "37" in answer.error_detail


async def test_the_ratio_is_learned_from_reported_usage(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    async with running():
        await ended((await ask(member, text="x" * 700)).answer_id)
    learned = await in_thread(Endpoint.objects.get, pk=endpoint.pk)
    assert learned.characters_per_token > 3.5  # 100 tokens were reported for some 800 characters


async def test_a_cut_answer_is_continued_without_a_seam(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "prefix+slow:20", continuation="prefix_true", takes_token_ids=True)
    async with running():
        accepted = await ask(member)
        await shown(accepted, 4)
        await cancel(member, accepted.answer_id)
        cut = await ended(accepted.answer_id)
        again = await in_thread(continue_answer, member, client_id=uuid4(), message_id=accepted.reply_id)
        answer = await ended(again.answer_id)
    assert cut.message.text and answer.status == Status.FINISHED
    assert answer.message.text == TEXT and answer.token_ids == [1000 + i for i in range(40)]
    last = scripted.requests[-1]["messages"][-1]
    assert last["content"] == cut.message.text and last["token_ids"] == cut.token_ids
    assert scripted.requests[-1]["max_tokens"] == 2048 + len(cut.token_ids)
    assert answer.completion_tokens in (40, 40 - len(cut.token_ids))


async def test_an_endpoint_without_continuation_is_asked_in_words(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "slow:20")
    async with running():
        accepted = await ask(member)
        await shown(accepted, 4)
        await cancel(member, accepted.answer_id)
        cut = await ended(accepted.answer_id)
        again = await in_thread(continue_answer, member, client_id=uuid4(), message_id=accepted.reply_id)
        answer = await ended(again.answer_id)
    assert answer.message.text == cut.message.text + TEXT
    roles = [message["role"] for message in scripted.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


async def replay(member: User, accepted: Accepted) -> Answer:
    again = await in_thread(replay_answer, member, client_id=uuid4(), answer_id=accepted.answer_id)
    return await ended(again.answer_id)


async def test_a_replay_asks_the_same_and_says_whether_it_is_equal(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    async with running():
        _, second = await talk(member, 2, "What is the tide?")
        again = await replay(member, second)
        assert scripted.requests[-1] == scripted.requests[-2]
        assert again.replay_equal is True and again.message_id != second.reply_id
        # The model behind the endpoint has changed: the request keeps its old name, the text does not.
        await in_thread(
            Answer.objects.filter(pk=second.answer_id).update, request={**again.request, "text_sha256": "other"}
        )
        assert (await replay(member, second)).replay_equal is False


async def test_a_replay_of_changed_parts_is_never_called_equal(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    async with running():
        [first] = await talk(member, 1, "What is the tide?")
        await in_thread(Message.objects.filter(pk=first.message_id).update, text="What is the time?")
        again = await replay(member, first)
    assert again.status == Status.FINISHED and again.replay_equal is False
    assert again.notices == [{"code": "replay_changed", "params": {}}]


async def test_a_replay_of_a_continued_answer_begins_with_its_text(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "prefix+slow:15", continuation="prefix_true")
    async with running():
        accepted = await ask(member)
        await shown(accepted, 4)
        await cancel(member, accepted.answer_id)
        await ended(accepted.answer_id)
        continued = await in_thread(continue_answer, member, client_id=uuid4(), message_id=accepted.reply_id)
        await ended(continued.answer_id)
        answer = await replay(member, continued)
    assert answer.message.text == TEXT and answer.replay_equal is True
    assert scripted.requests[-1] == scripted.requests[-2]


async def test_an_endpoint_that_counts_more_gets_less(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    """The ratio was wrong: turns are left out until the endpoint takes the prompt."""
    await play(endpoint, scripted, "plain")
    async with running():
        asked = await talk(member, 3, "tide " * 100)
        await play(endpoint, scripted, "room:1000", context_length=2000, max_output_tokens=100)
        accepted = await ask(member, asked[-1].conversation_id, asked[-1].reply_id, "And now?")
        answer = await ended(accepted.answer_id)
    reader = await check_story(accepted)
    assert answer.status == Status.FINISHED and "context_trimmed" in reader.notices()
