"""What is written is found, whoever has written it; what is gone is not; and it may be done twice."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from chatapp.accounts.models import User
from chatapp.answers.models import Answer, Status
from chatapp.answers.services import cancel_answer, send_message
from chatapp.celery import app
from chatapp.conversations.models import Conversation, Message
from chatapp.conversations.services import rename
from chatapp.endpoints.models import Endpoint
from chatapp.finding import indexing
from chatapp.finding.models import Named, Said, Waiting, Word
from chatapp.finding.tasks import forget_unused_words, index_waiting
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import ask, ended, play, row, running
from tests.chatapp.conversations.test_titles import worker
from tests.chatapp.finding.conftest import found, found_messages, say
from tests.scripted_endpoint import ScriptedEndpoint

pytestmark = pytest.mark.django_db


def test_every_way_of_writing_is_noted(member: User, conversation: Conversation) -> None:
    one = conversation.messages.create(role="user", text="written by create")
    two, empty = Message.objects.bulk_create(
        Message(conversation=conversation, role="assistant", text=text) for text in ("written in bulk", "")
    )
    assert {each.message_id for each in Waiting.objects.all()} == {one.pk, two.pk, None}
    index_waiting()
    Message.objects.filter(pk=empty.pk).update(text="a snapshot, by update")
    Message.objects.filter(pk=one.pk).update(text="written by create")
    assert [each.message_id for each in Waiting.objects.all()] == [empty.pk], "what did not change is not noted"
    index_waiting()
    assert found_messages(member, "snapshot") == [empty.pk]
    assert found_messages(member, "create") == [one.pk]


def test_a_text_that_changes_is_found_by_its_last_words_only(member: User, conversation: Conversation) -> None:
    [message] = say(conversation, "petrel")
    Message.objects.filter(pk=message.pk).update(text="petrels and a shearwater")
    index_waiting()
    assert found_messages(member, "shearwater") == [message.pk]
    Message.objects.filter(pk=message.pk).update(text="")
    index_waiting()
    assert found_messages(member, "petrel") == found_messages(member, "shearwater") == []
    assert not Said.objects.exists()


def test_a_new_title_is_found_and_the_old_one_is_not(member: User, conversation: Conversation) -> None:
    index_waiting()
    assert found(member, "tides")
    rename(member, conversation.pk, "Moorings")
    index_waiting()
    assert found(member, "moorings") and not found(member, "tides")


def test_it_may_be_done_twice_and_message_by_message(conversation: Conversation) -> None:
    for number in range(2 * indexing.BATCH + 1):
        conversation.messages.create(role="user", text=f"message {number}")
    assert indexing.index_batch() == indexing.BATCH
    assert indexing.index_waiting() == indexing.BATCH + 2, "the rest, and the title"
    assert indexing.index_waiting() == 0
    assert Said.objects.count() == Message.objects.count()
    assert not Waiting.objects.exists()


def test_what_was_there_before_is_read_too(member: User, conversation: Conversation) -> None:
    [message] = say(conversation, "an old fulmar")
    with connection.cursor() as cursor:
        for table in ("finding_said", "finding_named", "finding_word"):
            cursor.execute(f"DELETE FROM {table}")
        assert found_messages(member, "fulmar") == []
        cursor.execute(import_module("chatapp.finding.migrations.0001_initial").ALL_THERE_IS)
    index_waiting()
    assert found_messages(member, "fulmar") == [message.pk]
    assert found(member, "tides")


def test_purged_chats_leave_nothing_behind_not_even_their_words(member: User, conversation: Conversation) -> None:
    other = Conversation.objects.create(owner=member, title="Kept")
    say(other, "kittiwake colony")
    say(conversation, "kittiwake and skua")
    forget_unused_words()
    assert {"kittiwake", "skua", "colony", "tides"} <= set(Word.objects.values_list("word", flat=True))
    conversation.delete()
    forget_unused_words()
    assert set(Word.objects.values_list("word", flat=True)) == {"kittiwake", "colony", "kept"}
    assert Said.objects.count() == Named.objects.count() == 1


def test_a_message_that_went_before_it_was_read_is_nothing(conversation: Conversation) -> None:
    message = conversation.messages.create(role="user", text="gone")
    message.delete()
    index_waiting()
    assert not Waiting.objects.exists() and not Said.objects.exists()


def test_migrations_are_in_step_with_the_models() -> None:
    call_command("makemigrations", "finding", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_not_meet(conversation: Conversation) -> None:
    conversation.messages.create(role="user", text="tern")
    with transaction.atomic():
        assert indexing.index_batch() == 2
        assert _in_another_session(indexing.index_batch) == 0
    assert Said.objects.count() == 1 and not Waiting.objects.exists()


def _in_another_session(work: Callable[[], int]) -> int:
    def run() -> int:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(10)


@pytest.mark.django_db(transaction=True)
def test_a_text_written_while_it_is_read_is_read_again(member: User, conversation: Conversation) -> None:
    message = conversation.messages.create(role="assistant", text="dunlin")
    with transaction.atomic():
        Message.objects.filter(pk=message.pk).update(text="dunlin and knot")
        assert _in_another_session(indexing.index_waiting) == 2, "it reads what is committed"
    assert found_messages(member, "knot") == []
    index_waiting()
    assert found_messages(member, "knot") == [message.pk]


@pytest.mark.django_db(transaction=True)
async def test_question_and_answer_are_found_soon_by_a_real_worker(member: User, endpoint: Endpoint) -> None:
    with ScriptedEndpoint() as scripted:
        await play(endpoint, scripted, "plain")
        async with worker(), running():
            accepted = await ask(member)
            await ended(accepted.answer_id)
            text = (await row(accepted.answer_id)).message.text
            for _ in range(200):
                if await in_thread(Said.objects.count) == 2:
                    break
                await asyncio.sleep(0.05)
    assert accepted.message_id in await in_thread(found_messages, member, "What is the tide?")
    assert accepted.reply_id in await in_thread(found_messages, member, text.split()[-1])


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_costs_a_question_nothing(member: User, endpoint: Endpoint) -> None:
    accepted = send_message(member, client_id=uuid4(), text="How deep?")
    cancel_answer(member, answer_id=accepted.answer_id)
    assert Answer.objects.get().status == Status.CANCELLED
    assert Waiting.objects.filter(message_id=accepted.message_id).exists(), "the sweep reads it"


def test_beat_asks_every_minute_and_every_night() -> None:
    tasks = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert {index_waiting.name, forget_unused_words.name} <= tasks
