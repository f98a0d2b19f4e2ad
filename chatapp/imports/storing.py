"""A chat that was read, as rows: in one transaction, and once."""

import uuid
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from chatapp.answers.models import Answer, Status
from chatapp.answers.services import title_from_question
from chatapp.conversations.models import Conversation, Message
from chatapp.imports.chats import Chat
from chatapp.imports.models import Import, ImportedChat

TICK = timedelta(microseconds=1)
BATCH = 500


def store(came_by: Import, chat: Chat) -> bool:
    """Whether it is new. The same chat at the same moment by two workers is one chat."""
    owner_id, digest = came_by.owner_id, chat.digest
    if ImportedChat.objects.filter(owner=owner_id, digest=digest).exists():
        return False
    try:
        with transaction.atomic():
            conversation = _make(owner_id, chat)
            ImportedChat.objects.create(owner_id=owner_id, digest=digest, conversation=conversation, came_by=came_by)
    except IntegrityError:
        if ImportedChat.objects.filter(owner=owner_id, digest=digest).exists():
            return False
        raise
    return True


def _make(owner_id: uuid.UUID, chat: Chat) -> Conversation:
    title = " ".join(chat.title.split()) or title_from_question(chat.said[0].text)
    conversation = Conversation.objects.create(
        owner_id=owner_id, title=title, title_source=Conversation.TitleSource.PERSON
    )
    messages: list[Message] = []
    for said, at in zip(chat.said, _moments(chat), strict=True):
        messages.append(
            Message(
                conversation=conversation,
                parent=messages[said.parent] if said.parent is not None else None,
                role=said.role,
                author_id=owner_id if said.role == "user" else None,
                text=said.text,
                created_at=at,
            )
        )
    Message.objects.bulk_create(messages, BATCH)
    answers = (
        _answer(owner_id, message, said.model, said.reasoning)
        for message, said in zip(messages, chat.said, strict=True)
        if said.role == "assistant"
    )
    Answer.objects.bulk_create(answers, BATCH)
    assert chat.active is not None, "a chat that was read has an end"
    times = [message.created_at for message in messages]
    Conversation.objects.filter(pk=conversation.pk).update(
        active_leaf=messages[chat.active], created_at=chat.at or min(times), updated_at=max(times)
    )
    return conversation


def _answer(owner_id: uuid.UUID, message: Message, model: str, reasoning: str) -> Answer:
    """Ended, and told: nobody follows the log of a chat that has only just come."""
    at = message.created_at
    return Answer(
        message=message,
        asked_by_id=owner_id,
        client_id=uuid.uuid4(),
        seed=0,
        status=Status.FINISHED,
        finish_reason="stop",
        model_name=model,
        reasoning=reasoning,
        created_at=at,
        ended_at=at,
        queued_event_at=at,
        ended_event_at=at,
    )


def _moments(chat: Chat) -> list[datetime]:
    """As the export has them where it has them; never before the message above, so that order is order."""
    moments: list[datetime] = []
    last = chat.at or timezone.now()
    for said in chat.said:
        above = moments[said.parent] if said.parent is not None else None
        at = said.at or last
        at = max(at, above + TICK) if above else at
        while moments and at == moments[-1]:
            at += TICK
        moments.append(at)
        last = at
    return moments
