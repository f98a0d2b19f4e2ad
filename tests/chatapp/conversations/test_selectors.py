"""What a viewer sees: the branch in order, its position in the log, the list by time."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chatapp.accounts.models import User
from chatapp.answers.events import Position, TitleChanged
from chatapp.answers.log import BlockingEventLog
from chatapp.answers.models import Answer, Status
from chatapp.answers.services import Accepted, regenerate, send_message
from chatapp.conversations.models import Conversation
from chatapp.conversations.selectors import read_item, read_thread, sidebar
from chatapp.conversations.services import select_leaf
from chatapp.endpoints.models import Endpoint
from chatapp.errors import NotFound
from ops.services import Services

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(member: User, endpoint: Endpoint, services: Services) -> Accepted:
    return send_message(member, client_id=uuid4(), text="When?")


def finish(accepted: Accepted, **fields: object) -> None:
    Answer.objects.filter(pk=accepted.answer_id).update(status=Status.FINISHED, ended_at=datetime.now(UTC), **fields)


def test_thread_is_the_active_branch_with_its_siblings(member: User, asked: Accepted) -> None:
    finish(asked, prompt_tokens=30, completion_tokens=12)
    again = regenerate(member, client_id=uuid4(), message_id=asked.reply_id)
    thread = read_thread(member, asked.conversation_id)
    assert [item.message.pk for item in thread.items] == [asked.message_id, again.reply_id]
    question, reply = thread.items
    assert (question.siblings, question.index, question.answer, question.is_last) == (
        [asked.message_id],
        1,
        None,
        False,
    )
    assert (reply.siblings, reply.index, reply.is_last) == ([asked.reply_id, again.reply_id], 2, True)
    assert reply.answer and reply.answer.pk == again.answer_id
    assert (thread.leaf, thread.can_write, thread.context_used) == (again.reply_id, True, 0)
    other = read_thread(member, asked.conversation_id, leaf=asked.reply_id)
    assert (other.leaf, other.context_used) == (asked.reply_id, 42)


def test_leaf_may_be_any_message_of_the_branch(member: User, asked: Accepted) -> None:
    thread = read_thread(member, asked.conversation_id, leaf=asked.message_id)
    assert thread.leaf == asked.reply_id
    with pytest.raises(NotFound):
        read_thread(member, asked.conversation_id, leaf=uuid4())


def test_leaf_on_the_active_branch_leaves_that_branch_shown(member: User, asked: Accepted) -> None:
    again = regenerate(member, client_id=uuid4(), message_id=asked.reply_id)
    assert read_thread(member, asked.conversation_id, leaf=asked.message_id).leaf == again.reply_id
    select_leaf(member, asked.conversation_id, asked.reply_id)
    assert read_thread(member, asked.conversation_id, leaf=asked.message_id).leaf == asked.reply_id


def test_thread_of_another_is_not_found(outsider: User, member: User, asked: Accepted) -> None:
    assert read_thread(member, asked.conversation_id).items
    with pytest.raises(NotFound):
        read_thread(outsider, asked.conversation_id)
    with pytest.raises(NotFound):
        read_item(outsider, asked.conversation_id, asked.reply_id)


def test_item_is_the_same_as_in_the_thread(member: User, asked: Accepted) -> None:
    assert (
        read_item(member, asked.conversation_id, asked.reply_id) == read_thread(member, asked.conversation_id).items[1]
    )
    with pytest.raises(NotFound):
        read_item(member, asked.conversation_id, uuid4())


def test_empty_conversation_is_an_empty_thread(member: User, conversation: Conversation, services: Services) -> None:
    thread = read_thread(member, conversation.pk)
    assert (thread.items, thread.leaf, thread.context_used) == ([], None, 0)


def test_position_is_the_head_while_nothing_runs(member: User, asked: Accepted) -> None:
    position = BlockingEventLog().append(asked.conversation_id, TitleChanged("Tides"))
    assert read_thread(member, asked.conversation_id).position == str(position)


@pytest.mark.parametrize(
    ("epoch", "seq", "expected"),
    [("same", 2, 2), ("same", 99, 5), ("", 0, 0), ("an older one", 3, 0)],
    ids=["at its snapshot", "never beyond the head", "not saved yet", "log lost since"],
)
def test_position_is_not_after_the_snapshot_of_a_running_answer(
    member: User, asked: Accepted, epoch: str, seq: int, expected: int
) -> None:
    log = BlockingEventLog()
    for number in range(5):
        head = log.append(asked.conversation_id, TitleChanged(str(number)))
    Answer.objects.filter(pk=asked.answer_id).update(
        status=Status.RUNNING, snapshot_epoch=head.epoch if epoch == "same" else epoch, snapshot_seq=seq
    )
    assert read_thread(member, asked.conversation_id).position == str(Position(head.epoch, expected))


def test_selected_branch_is_shown_next_time(member: User, outsider: User, asked: Accepted) -> None:
    again = regenerate(member, client_id=uuid4(), message_id=asked.reply_id)
    assert read_thread(member, asked.conversation_id).leaf == again.reply_id
    assert select_leaf(member, asked.conversation_id, asked.reply_id) == asked.reply_id
    assert read_thread(member, asked.conversation_id).leaf == asked.reply_id
    for person, message in ((outsider, asked.reply_id), (member, uuid4())):
        with pytest.raises(NotFound):
            select_leaf(person, asked.conversation_id, message)


NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def listed(person: User, title: str, age: timedelta) -> Conversation:
    conversation = Conversation.objects.create(owner=person, title=title)
    Conversation.objects.filter(pk=conversation.pk).update(updated_at=NOW - age)
    return conversation


def test_sidebar_groups_by_time_newest_first(member: User, outsider: User) -> None:
    for hours, title in [(1, "b"), (0, "a"), (13, "c"), (24 * 6, "d"), (24 * 20, "e"), (24 * 60, "f"), (24 * 400, "g")]:
        listed(member, title, timedelta(hours=hours))
    listed(outsider, "not mine", timedelta(0))
    groups = [(label, [c.title for c in conversations]) for label, conversations in sidebar(member, now=NOW)]
    assert groups == [
        ("Today", ["a", "b"]),
        ("Yesterday", ["c"]),
        ("Last 7 days", ["d"]),
        ("Last 30 days", ["e"]),
        ("September 2026", ["f"]),
        ("October 2025", ["g"]),
    ]


def test_sidebar_comes_in_pages(member: User) -> None:
    for number in range(60):
        listed(member, str(number), timedelta(minutes=number))
    first = [c for group in sidebar(member, now=NOW) for c in group.conversations]
    second = [c for group in sidebar(member, first[-1].updated_at, NOW) for c in group.conversations]
    assert [c.title for c in first + second] == [str(number) for number in range(60)]
    assert len(first) == 50
