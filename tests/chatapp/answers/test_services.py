"""Asking and calling off: rights, the tree, idempotency, races, and what the log and the runner hear of it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from chatapp.accounts.models import User
from chatapp.answers.events import AnswerEnded, AnswerQueued, Delta, Event, MessageAdded, Position
from chatapp.answers.log import LOST, EventLog, FencedOut
from chatapp.answers.models import ENDED, Answer, Status
from chatapp.answers.services import (
    MAX_QUESTION_TITLE,
    Accepted,
    cancel_answer,
    continue_answer,
    emit_ended,
    emit_queued,
    regenerate,
    replay_answer,
    send_message,
    title_from_question,
)
from chatapp.answers.valkey import blocking_client
from chatapp.conversations.models import Conversation, Grant, Message
from chatapp.endpoints.models import Endpoint
from chatapp.errors import ChatError, Invalid, NotFound
from chatapp.searches.models import WebSetting

pytestmark = pytest.mark.django_db(transaction=True)


def ask(person: User, text: str = "When is high tide?", **fields: Any) -> Accepted:
    return send_message(person, client_id=uuid4(), text=text, **fields)


def end(answer_id: UUID, status: Status = Status.FINISHED, text: str = "At noon.", **fields: Any) -> Answer:
    answer = Answer.objects.get(pk=answer_id)
    Message.objects.filter(pk=answer.message_id).update(text=text)
    Answer.objects.filter(pk=answer_id).update(status=status, ended_at=answer.created_at, **fields)
    answer.refresh_from_db()
    return answer


def events_of(conversation_id: UUID) -> list[Event]:
    async def read() -> list[Event]:
        log = EventLog()
        entries = await log.read_after(conversation_id, Position((await log.head(conversation_id)).epoch, 0))
        assert entries is not LOST
        return [event for _, event in entries]

    return asyncio.run(read())


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Runs the calls at the same moment, each on a connection of its own; returns results and ChatErrors."""
    gate = threading.Barrier(len(calls))

    def work(call: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return call()
        except ChatError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(work, calls))


def test_first_question_makes_a_conversation_with_its_title(member: User, endpoint: Endpoint) -> None:
    accepted = ask(member, "When is\nhigh tide in Cuxhaven?")
    conversation = Conversation.objects.get(pk=accepted.conversation_id)
    assert (conversation.owner, conversation.title) == (member, "When is high tide in Cuxhaven?")
    assert conversation.title_source == Conversation.TitleSource.QUESTION
    assert conversation.active_leaf_id == accepted.reply_id
    answer = Answer.objects.get(pk=accepted.answer_id)
    assert (answer.status, answer.endpoint, answer.message_id) == (Status.QUEUED, endpoint, accepted.reply_id)
    assert answer.message.parent_id == accepted.message_id
    assert 0 <= answer.seed < 2**63
    assert answer.queued_event_at is not None


def test_question_is_in_the_log_and_the_runner_is_rung(member: User, endpoint: Endpoint) -> None:
    with blocking_client().pubsub() as runner:
        runner.subscribe("runner")
        assert runner.get_message(timeout=2)
        accepted = ask(member)
        heard = runner.get_message(timeout=2)
    assert heard and heard["data"] == f"queued {accepted.answer_id}".encode()
    assert accepted.message_id is not None
    assert events_of(accepted.conversation_id) == [
        MessageAdded(accepted.message_id, None, "user", None),
        MessageAdded(accepted.reply_id, accepted.message_id, "assistant", accepted.answer_id),
        AnswerQueued(accepted.answer_id, accepted.reply_id),
    ]


def test_later_question_moves_the_conversation_and_keeps_its_title(member: User, endpoint: Endpoint) -> None:
    first = ask(member, "First")
    before = Conversation.objects.get(pk=first.conversation_id)
    second = ask(member, "Second", conversation_id=first.conversation_id, parent_id=first.reply_id)
    after = Conversation.objects.get(pk=first.conversation_id)
    assert second.conversation_id == first.conversation_id
    assert Answer.objects.get(pk=second.answer_id).status == Status.QUEUED, "it waits its turn under a running answer"
    assert (after.title, after.active_leaf_id) == ("First", second.reply_id)
    assert after.updated_at > before.updated_at


def test_edit_is_a_sibling_of_the_question(member: User, endpoint: Endpoint) -> None:
    first = ask(member, "Frist")
    edited = ask(member, "First", conversation_id=first.conversation_id)
    roots = Message.objects.filter(conversation=first.conversation_id, parent=None).order_by("created_at")
    assert [root.text for root in roots] == ["Frist", "First"]
    assert edited.message_id == roots[1].pk


def test_parent_must_be_an_answer_of_the_same_conversation(member: User, endpoint: Endpoint) -> None:
    here, elsewhere = ask(member), ask(member)
    for parent_id in (elsewhere.reply_id, here.message_id, uuid4()):
        with pytest.raises(Invalid) as refusal:
            ask(member, conversation_id=here.conversation_id, parent_id=parent_id)
        assert refusal.value.field == "parent"
    with pytest.raises(Invalid):
        ask(member, parent_id=here.reply_id)
    assert Answer.objects.count() == 2


def test_only_who_may_write_can_ask(member: User, outsider: User, endpoint: Endpoint) -> None:
    accepted = ask(member)
    end(accepted.answer_id)
    attempts: list[Callable[[], Any]] = [
        lambda: ask(outsider, conversation_id=accepted.conversation_id, parent_id=accepted.reply_id),
        lambda: regenerate(outsider, client_id=uuid4(), message_id=accepted.reply_id),
        lambda: continue_answer(outsider, client_id=uuid4(), message_id=accepted.reply_id),
        lambda: replay_answer(outsider, client_id=uuid4(), answer_id=accepted.answer_id),
        lambda: cancel_answer(outsider, answer_id=accepted.answer_id),
    ]
    assert ask(outsider), "the outsider exists and may ask elsewhere"
    for access in (None, "read"):
        if access:
            Grant.objects.create(conversation_id=accepted.conversation_id, user=outsider, access=access)
        for attempt in attempts:
            with pytest.raises(NotFound):
                attempt()
    Grant.objects.update(access="write")
    assert attempts[0]() and attempts[1]()


@pytest.mark.parametrize(("text", "code"), [("", "empty"), (" \n\t", "empty"), ("x" * 1_000_001, "too_long")])
def test_text_has_limits_that_the_refusal_names(member: User, endpoint: Endpoint, text: str, code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        ask(member, text)
    assert (refusal.value.code, refusal.value.field) == (code, "text")
    if code == "too_long":
        assert "1,000,001" in refusal.value.message and "1,000,000" in refusal.value.message
    assert not Conversation.objects.exists()


def test_longest_text_is_taken(member: User, endpoint: Endpoint) -> None:
    accepted = ask(member, "潮" * 1_000_000)
    assert len(Message.objects.get(pk=accepted.message_id).text) == 1_000_000


def test_without_a_model_nothing_is_accepted(member: User) -> None:
    with pytest.raises(ChatError) as refusal:
        ask(member)
    assert refusal.value.code == "no_endpoint"
    assert not Conversation.objects.exists()


@pytest.mark.parametrize(("search", "deep", "stored"), [(True, False, (True, False)), (False, True, (True, True))])
def test_what_is_searched_is_kept_with_the_answer(
    member: User, endpoint: Endpoint, search: bool, deep: bool, stored: tuple[bool, bool]
) -> None:
    Endpoint.objects.update(tools=True)
    first = ask(member, search=search, deep=deep)
    answer = end(first.answer_id, Status.CANCELLED)
    assert (answer.search, answer.deep) == stored
    cut = continue_answer(member, client_id=uuid4(), message_id=first.reply_id)
    answer = end(cut.answer_id, Status.CANCELLED)
    assert (answer.search, answer.deep) == stored, "a text that goes on keeps what its beginning had"
    replay = Answer.objects.get(pk=replay_answer(member, client_id=uuid4(), answer_id=answer.pk).answer_id)
    assert (replay.search, replay.deep) == stored
    again = regenerate(member, client_id=uuid4(), message_id=first.reply_id)
    assert not Answer.objects.get(pk=again.answer_id).search, "it is asked for with every new answer"
    searched = regenerate(member, client_id=uuid4(), message_id=first.reply_id, search=search, deep=deep)
    answer = Answer.objects.get(pk=searched.answer_id)
    assert (answer.search, answer.deep) == stored


def test_a_web_that_is_switched_off_is_not_searched(member: User, endpoint: Endpoint) -> None:
    first = ask(member)
    end(first.answer_id)
    WebSetting.objects.create(is_on=False)
    with pytest.raises(ChatError) as refused:
        ask(member, search=True)
    assert (refused.value.code, refused.value.field) == ("search_off", "search")
    with pytest.raises(ChatError):
        regenerate(member, client_id=uuid4(), message_id=first.reply_id, search=True)
    assert Answer.objects.count() == 1


def test_a_model_that_calls_no_tools_cannot_search_deeply(member: User, endpoint: Endpoint) -> None:
    with pytest.raises(Invalid) as refused:
        ask(member, deep=True)
    assert (refused.value.code, refused.value.field) == ("not_supported", "deep")
    assert not Answer.objects.exists()


@pytest.mark.parametrize(
    ("can_think", "wanted", "thinks"),
    [("never", True, False), ("switched", True, True), ("switched", False, False), ("always", False, True)],
)
def test_thinking_is_what_the_model_can_do(
    member: User, endpoint: Endpoint, can_think: str, wanted: bool, thinks: bool
) -> None:
    Endpoint.objects.update(thinking=can_think)
    assert Answer.objects.get(pk=ask(member, thinking=wanted).answer_id).thinking == thinks


def test_same_client_id_gives_the_same_answer_for_every_request(member: User, endpoint: Endpoint) -> None:
    client_id = uuid4()
    first = send_message(member, client_id=client_id, text="Once")
    assert send_message(member, client_id=client_id, text="Once") == first
    end(first.answer_id, Status.FAILED)
    for request in (
        lambda id: regenerate(member, client_id=id, message_id=first.reply_id),
        lambda id: continue_answer(member, client_id=id, message_id=first.reply_id),
        lambda id: replay_answer(member, client_id=id, answer_id=first.answer_id),
    ):
        client_id, count = uuid4(), Answer.objects.count()
        accepted = request(client_id)
        assert accepted.message_id is None
        assert request(client_id) == accepted
        assert Answer.objects.count() == count + 1
    assert send_message(member, client_id=first_client_id(first), text="Once") == first, "siblings change nothing"


def first_client_id(accepted: Accepted) -> UUID:
    return Answer.objects.get(pk=accepted.answer_id).client_id


def test_client_ids_of_two_people_do_not_meet(member: User, outsider: User, endpoint: Endpoint) -> None:
    client_id = uuid4()
    first = send_message(member, client_id=client_id, text="Mine")
    assert send_message(outsider, client_id=client_id, text="Mine").answer_id != first.answer_id


def test_two_equal_frames_at_once_ask_once(member: User, endpoint: Endpoint) -> None:
    for _ in range(5):
        Conversation.objects.all().delete()
        client_id = uuid4()
        results = at_once(*[lambda: send_message(member, client_id=client_id, text="Once")] * 4)  # noqa: B023
        assert len(set(results)) == 1 and isinstance(results[0], Accepted)
        assert (Conversation.objects.count(), Message.objects.count(), Answer.objects.count()) == (1, 2, 1)


def test_regenerated_answer_is_a_sibling(member: User, endpoint: Endpoint) -> None:
    first = ask(member)
    again = regenerate(member, client_id=uuid4(), message_id=first.reply_id)
    siblings = Message.objects.filter(parent=first.message_id).order_by("created_at").values_list("pk", flat=True)
    assert list(siblings) == [first.reply_id, again.reply_id]
    assert Conversation.objects.get().active_leaf_id == again.reply_id
    assert events_of(first.conversation_id)[3:] == [
        MessageAdded(again.reply_id, first.message_id, "assistant", again.answer_id),
        AnswerQueued(again.answer_id, again.reply_id),
    ]
    assert first.message_id is not None
    with pytest.raises(Invalid):
        regenerate(member, client_id=uuid4(), message_id=first.message_id)


def test_continued_answer_goes_on_from_what_is_there(member: User, endpoint: Endpoint) -> None:
    first = ask(member)
    end(first.answer_id, Status.FAILED, "At 🌊 ", error_code="interrupted", reasoning="Hm.", token_ids=[4, 5])
    further = continue_answer(member, client_id=uuid4(), message_id=first.reply_id)
    answer = Answer.objects.get(pk=further.answer_id)
    assert further.reply_id == first.reply_id
    assert (answer.prefix_length, answer.reasoning, answer.token_ids) == (6, "Hm.", [4, 5])
    assert events_of(first.conversation_id)[3:] == [AnswerQueued(further.answer_id, first.reply_id)]
    with pytest.raises(ChatError) as refusal:
        continue_answer(member, client_id=uuid4(), message_id=first.reply_id)
    assert refusal.value.code == "not_continuable", "it is being answered"


@pytest.mark.parametrize(
    ("status", "finish_reason", "can"),
    [("finished", "stop", False), ("finished", "length", True), ("failed", "", True), ("cancelled", "", True)],
)
def test_only_a_cut_answer_is_continued(
    member: User, endpoint: Endpoint, status: Status, finish_reason: str, can: bool
) -> None:
    first = ask(member)
    end(first.answer_id, status, finish_reason=finish_reason)
    if can:
        assert continue_answer(member, client_id=uuid4(), message_id=first.reply_id)
        return
    with pytest.raises(ChatError) as refusal:
        continue_answer(member, client_id=uuid4(), message_id=first.reply_id)
    assert refusal.value.code == "not_continuable"


def test_answer_that_was_replied_to_is_not_continued(member: User, endpoint: Endpoint) -> None:
    first = ask(member)
    end(first.answer_id, Status.FAILED)
    ask(member, conversation_id=first.conversation_id, parent_id=first.reply_id)
    with pytest.raises(ChatError):
        continue_answer(member, client_id=uuid4(), message_id=first.reply_id)


def test_two_continuations_at_once_become_one(member: User, endpoint: Endpoint) -> None:
    first = ask(member)
    end(first.answer_id, Status.FAILED)
    calls = [lambda: continue_answer(member, client_id=uuid4(), message_id=first.reply_id)] * 3
    results = at_once(*calls)
    assert sorted(type(result).__name__ for result in results) == ["Accepted", "ChatError", "ChatError"]
    assert Answer.objects.filter(message=first.reply_id, status=Status.QUEUED).count() == 1


def test_replay_repeats_the_seed_as_a_sibling(member: User, endpoint: Endpoint) -> None:
    first = ask(member)
    with pytest.raises(ChatError) as refusal:
        replay_answer(member, client_id=uuid4(), answer_id=first.answer_id)
    assert refusal.value.code == "not_replayable"
    end(first.answer_id)
    replay = Answer.objects.get(pk=replay_answer(member, client_id=uuid4(), answer_id=first.answer_id).answer_id)
    original = Answer.objects.get(pk=first.answer_id)
    assert (replay.seed, replay.endpoint, replay.replay_of) == (original.seed, endpoint, original)
    assert replay.message.parent_id == first.message_id


def test_queued_answer_ends_at_once_when_called_off(member: User, endpoint: Endpoint) -> None:
    accepted = ask(member)
    assert cancel_answer(member, answer_id=accepted.answer_id) == accepted
    answer = Answer.objects.get(pk=accepted.answer_id)
    assert (answer.status, answer.fence) == (Status.CANCELLED, 1)
    assert answer.ended_at and answer.ended_event_at
    ended = events_of(accepted.conversation_id)[-1]
    assert isinstance(ended, AnswerEnded) and (ended.answer, ended.status) == (answer.pk, "cancelled")
    assert cancel_answer(member, answer_id=accepted.answer_id) == accepted, "safe to repeat"

    async def write_late() -> None:
        delta = Delta(answer.pk, answer.message_id, "text", 0, "late")
        await EventLog().append(accepted.conversation_id, delta, answer_id=answer.pk, fence=0)

    with pytest.raises(FencedOut):
        asyncio.run(write_late())


def test_running_answer_is_left_to_its_runner(member: User, endpoint: Endpoint) -> None:
    accepted = ask(member)
    Answer.objects.update(status=Status.RUNNING, fence=1)
    with blocking_client().pubsub() as runner:
        runner.subscribe("runner")
        assert runner.get_message(timeout=2)
        cancel_answer(member, answer_id=accepted.answer_id)
        heard = runner.get_message(timeout=2)
    assert heard and heard["data"] == f"cancel {accepted.answer_id}".encode()
    answer = Answer.objects.get()
    assert answer.status == Status.RUNNING and answer.cancel_requested_at


def test_ended_answer_stays_as_it_ended(member: User, endpoint: Endpoint) -> None:
    accepted = ask(member)
    end(accepted.answer_id)
    cancel_answer(member, answer_id=accepted.answer_id)
    answer = Answer.objects.get()
    assert (answer.status, answer.cancel_requested_at) == (Status.FINISHED, None)


def test_cancel_and_claim_at_once_leave_one_winner(member: User, endpoint: Endpoint) -> None:
    """Either the claim came first and the runner is asked, or the cancel did and there is nothing to claim."""
    for _ in range(8):
        accepted = ask(member)

        def claim(answer_id: UUID = accepted.answer_id) -> int:
            queued = Answer.objects.filter(pk=answer_id, status=Status.QUEUED, fence=0)
            return queued.update(status=Status.RUNNING, fence=1)

        claimed, _ = at_once(claim, lambda id=accepted.answer_id: cancel_answer(member, answer_id=id))
        answer = Answer.objects.get(pk=accepted.answer_id)
        assert answer.cancel_requested_at is not None
        assert answer.status == (Status.RUNNING if claimed else Status.CANCELLED)


def test_lost_events_are_emitted_again(member: User, endpoint: Endpoint) -> None:
    accepted = ask(member)
    answer = Answer.objects.get(pk=accepted.answer_id)
    blocking_client().flushall()
    Answer.objects.update(queued_event_at=None)
    emit_queued(answer)
    assert [event.kind for event in events_of(accepted.conversation_id)] == [
        "message_added", "message_added", "answer_queued"
    ]  # fmt: skip
    assert Answer.objects.get().queued_event_at
    end(answer.pk, text="🌊", reasoning="ab")
    emit_ended(answer)
    ended = events_of(accepted.conversation_id)[-1]
    assert isinstance(ended, AnswerEnded)
    assert (ended.status, ended.length_text, ended.length_reasoning) == ("finished", 2, 2)
    assert Answer.objects.get().ended_event_at
    assert Answer.objects.get().status in ENDED


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("short", "short"),
        ("two\n\n  lines", "two lines"),
        ("潮" * 100, "潮" * (MAX_QUESTION_TITLE - 1) + "…"),
        ("word " * 30, "word " * 10 + "word…"),
        ("x" * 50 + " " + "y" * 50, "x" * 50 + "…"),
    ],
)
def test_title_is_the_first_words(text: str, title: str) -> None:
    assert title_from_question(text) == title
    assert len(title) <= MAX_QUESTION_TITLE
