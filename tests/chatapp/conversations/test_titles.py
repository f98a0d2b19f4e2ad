"""Titles by the model, through a real Celery worker; and the nightly purge."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from celery.contrib.testing.worker import start_worker
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.celery import app
from chatapp.conversations.models import Conversation, Message
from chatapp.conversations.tasks import ask_for_title, purge_deleted, refine_title
from chatapp.conversations.titles import MAX_TITLE, title_question, usable_title
from chatapp.endpoints.deltas import Completed
from chatapp.endpoints.models import Endpoint
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import Reader, ask, ended, play, running
from tests.scripted_endpoint import ScriptedEndpoint


@pytest.fixture
def scripted() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as served:
        yield served


@asynccontextmanager
async def worker() -> AsyncIterator[None]:
    """Started and stopped in threads of its own: it blocks."""
    loop = asyncio.get_running_loop()
    context = start_worker(app, pool="solo", perform_ping_check=False, queues=["default"])
    await loop.run_in_executor(None, context.__enter__)
    try:
        yield
    finally:
        await loop.run_in_executor(None, context.__exit__, None, None, None)


async def title_of(conversation_id: object) -> tuple[str, str]:
    conversation = await in_thread(Conversation.objects.get, pk=conversation_id)
    return conversation.title, conversation.title_source


@pytest.mark.django_db(transaction=True)
async def test_a_real_worker_refines_the_title(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "title")
    async with worker(), running():
        accepted = await ask(member)
        await ended(accepted.answer_id)
        for _ in range(200):
            title, source = await title_of(accepted.conversation_id)
            if source == "model":
                break
            await asyncio.sleep(0.05)
    assert (title, source) == ("Tides and their times", "model")
    reader = await Reader(accepted).catch_up()
    assert reader.titles == ["Tides and their times"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", ["plain", "title+length", "title+drop:0", "bad-key"])
async def test_a_bad_title_leaves_the_first_words(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, model: str
) -> None:
    await play(endpoint, scripted, "plain")
    async with running():
        accepted = await ask(member)
        await ended(accepted.answer_id)
    await play(endpoint, scripted, model)
    await in_thread(refine_title, str(accepted.conversation_id))
    assert await title_of(accepted.conversation_id) == ("What is the tide?", "question")


@pytest.mark.django_db(transaction=True)
async def test_a_persons_title_and_the_demonstration_model_are_left_alone(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "title", is_local=True)
    async with running():
        accepted = await ask(member)
        await ended(accepted.answer_id)
    calls = len(scripted.requests)
    await in_thread(ask_for_title, accepted.conversation_id)
    await in_thread(refine_title, str(accepted.conversation_id))
    await play(endpoint, scripted, "title", is_local=False)
    conversation = Conversation.objects.filter(pk=accepted.conversation_id)
    await in_thread(conversation.update, title="Mine", title_source=Conversation.TitleSource.PERSON)
    await in_thread(refine_title, str(accepted.conversation_id))
    assert await title_of(accepted.conversation_id) == ("Mine", "person")
    assert len(scripted.requests) == calls


def test_usable_titles() -> None:
    end, cut = Completed("stop", None, "m"), Completed("length", None, "m")
    assert usable_title(' "Tides of the sea." ', end) == "Tides of the sea"
    assert usable_title("Title: Ebbe und Flut", end) == "Ebbe und Flut"
    assert usable_title("**潮汐的时间。**", end) == "潮汐的时间"
    for bad in ("", "two\nlines", "<think>hm", "`" * 3, "x" * (MAX_TITLE + 1)):
        assert usable_title(bad, end) is None
    assert usable_title("Tides of", cut) is None
    assert len(title_question("q" * 9999, "r" * 9999).messages[0].content) < 2000


def test_only_what_was_deleted_a_month_ago_is_purged(member: User, conversation: Conversation) -> None:
    now = timezone.now()
    old = Conversation.objects.create(owner=member, deleted_at=now - timedelta(days=31))
    question = old.messages.create(role=Message.Role.USER, text="q")
    reply = old.messages.create(role=Message.Role.ASSISTANT, parent=question)
    Conversation.objects.filter(pk=old.pk).update(active_leaf=reply)
    Answer.objects.create(message=reply, asked_by=member, client_id=reply.pk, seed=1)
    recent = Conversation.objects.create(owner=member, deleted_at=now - timedelta(days=29))
    purge_deleted()
    purge_deleted()
    assert set(Conversation.objects.all()) == {conversation, recent}
    assert not Message.objects.exists() and not Answer.objects.exists()


def test_beat_knows_the_purge() -> None:
    assert purge_deleted.name in {entry["task"] for entry in app.conf.beat_schedule.values()}
