"""Celery tasks of conversations, queue `default`. Thin, and safe to run twice."""

import asyncio
import logging
from contextlib import aclosing
from datetime import timedelta
from uuid import UUID

from celery import current_app, shared_task
from django.db.models import Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from chatapp.answers.doorbell import ring_list_blocking
from chatapp.answers.events import TitleChanged
from chatapp.answers.log import BlockingEventLog
from chatapp.answers.models import Answer, Status
from chatapp.context.counting import counter_for
from chatapp.conversations import temporary
from chatapp.conversations.models import Conversation
from chatapp.conversations.removal import remove_for_good
from chatapp.conversations.titles import title_question, usable_title
from chatapp.endpoints.client import EndpointClient
from chatapp.endpoints.deltas import Completed
from chatapp.endpoints.dialects import Question, Target
from chatapp.endpoints.faults import EndpointError
from chatapp.endpoints.services import target_of
from chatapp.finding.indexing import ask_for_index
from chatapp.threads import in_thread
from chatapp.usage.metering import metered
from chatapp.usage.recording import Asked, Kind, begin

logger = logging.getLogger(__name__)

REFINE_TITLE = "chatapp.conversations.tasks.refine_title"
KEPT_DELETED = timedelta(days=30)  # how long a deletion can be undone
TITLE_S = 60.0

# The first words of the question stand until then; a person's own title is never touched.
_UNREFINED = Q(title_source=Conversation.TitleSource.QUESTION)


def ask_for_title(conversation_id: UUID) -> None:
    """Called when an answer has finished: has the title refined, unless only the demonstration model could do it."""
    if not Conversation.objects.filter(_UNREFINED, pk=conversation_id).exists():
        return
    finished = Answer.objects.filter(message__conversation=conversation_id, status=Status.FINISHED)
    if finished.filter(endpoint__is_local=False).count() != 1:
        return  # once, after the first answer: a title that changes later is a surprise
    try:
        current_app.send_task(REFINE_TITLE, (str(conversation_id),), expires=600, retry=False)
    except OperationalError as error:
        logger.warning("title of conversation %s not asked for: %s", conversation_id, type(error).__name__)


@shared_task(name=REFINE_TITLE)
def refine_title(conversation_id: str) -> None:
    """A short title by the model that answered; whatever goes wrong, the first words of the question stay."""
    finished = Answer.objects.filter(message__conversation=UUID(conversation_id), status=Status.FINISHED)
    unrefined = finished.filter(message__conversation__in=Conversation.objects.filter(_UNREFINED))
    answer = unrefined.filter(endpoint__is_local=False, endpoint__is_enabled=True).order_by("created_at").first()
    if answer is None or answer.endpoint is None or answer.message.parent is None:
        return
    question = title_question(answer.message.parent.text, answer.message.text)
    try:
        title = asyncio.run(_ask(target_of(answer.endpoint), question, answer))
    except (EndpointError, TimeoutError) as error:
        logger.info("conversation %s keeps its title: %s", conversation_id, type(error).__name__)
        return
    if title is not None:
        _set_title(UUID(conversation_id), title)


async def _ask(target: Target, question: Question, answer: Answer) -> str | None:
    text, endpoint = "", answer.endpoint
    assert endpoint is not None
    counter = counter_for(endpoint.tokenizer_path, endpoint.characters_per_token)
    prompt_tokens = sum(counter.count(message.content) for message in question.messages)
    spending = await in_thread(begin, Asked(Kind.TITLE, answer.asked_by_id, endpoint, answer.pk), prompt_tokens)
    async with EndpointClient() as client, asyncio.timeout(TITLE_S):
        stream = client.stream(target, question)
        async with metered(stream, spending, endpoint, counter) as source, aclosing(source) as pieces:
            async for piece in pieces:
                if isinstance(piece, Completed):
                    return usable_title(text, piece)
                text += piece.text if piece.part == "text" else ""
    return None


def _set_title(conversation_id: UUID, title: str) -> None:
    """Compare-and-set: a person may have named it while the model thought."""
    unrefined = Conversation.objects.filter(_UNREFINED, pk=conversation_id)
    if not unrefined.update(title=title, title_source=Conversation.TitleSource.MODEL):
        return
    logger.info("conversation %s titled", conversation_id)
    ask_for_index()
    try:
        BlockingEventLog().append(conversation_id, TitleChanged(title))
    except RedisError as error:
        logger.warning("title of %s not announced: %s", conversation_id, type(error).__name__)
    owner_id = Conversation.objects.values_list("owner_id", flat=True).get(pk=conversation_id)
    ring_list_blocking(owner_id)


@shared_task(name="chatapp.conversations.tasks.purge_deleted")
def purge_deleted() -> None:
    """Nightly: what was deleted a month ago is gone for good, with its messages, answers and files of its own."""
    old = Conversation.objects.filter(deleted_at__lt=Now() - KEPT_DELETED)
    purged = files = 0
    for conversation in old.only("id").iterator():
        files += remove_for_good(conversation)
        purged += 1
    logger.info("purged %d conversations, %d files", purged, files)


@shared_task(name="chatapp.conversations.tasks.remove_temporary")
def remove_temporary() -> None:
    """Every minute: temporary chats whose time is over."""
    if num_removed := temporary.remove_expired():
        logger.info("temporary conversations removed=%d", num_removed)
