"""A copy of a conversation, for whoever may read it: the shown branch becomes a conversation of their own.

It stands by itself: later changes of either are not seen in the other, and it stays when the share ends. Files come
along where the reader may read them, as they could attach them to a question of their own.
"""

import logging
import uuid
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from chatapp.accounts.models import User
from chatapp.answers import doorbell
from chatapp.answers.models import Answer
from chatapp.conversations.models import Conversation, Message
from chatapp.conversations.selectors import get_conversation
from chatapp.evidence.models import Check, Evidence
from chatapp.files.access import readable
from chatapp.files.models import Attachment
from chatapp.searches.copying import copy_searches
from chatapp.sharing.branch import Turn, ended_turns

logger = logging.getLogger(__name__)


def fork(viewer: User, conversation_id: UUID) -> Conversation:
    """Raises NotFound."""
    with transaction.atomic():
        original = get_conversation(viewer, conversation_id)
        turns = ended_turns(original)
        copy = Conversation.objects.create(owner=viewer, title=original.title, title_source=original.title_source)
        leaf: Message | None = None
        for turn in turns:
            leaf = _copy_turn(viewer, copy, leaf, turn)
        copy.active_leaf = leaf
        copy.save(update_fields=["active_leaf"])
        transaction.on_commit(partial(doorbell.ring_list_blocking, viewer.pk))
    logger.info("conversation %s forked as %s turns=%d by=%s", conversation_id, copy.pk, len(turns), viewer.pk)
    return copy


def _copy_turn(viewer: User, copy: Conversation, parent: Message | None, turn: Turn) -> Message:
    question = copy.messages.create(
        parent=parent, role=Message.Role.USER, author=turn.question.author, text=turn.question.text
    )
    _copy_files(viewer, turn.question, question)
    reply = copy.messages.create(parent=question, role=Message.Role.ASSISTANT, text=turn.reply.text)
    _copy_sources(turn.answer, _copy_answer(viewer, turn.answer, reply))
    return reply


def _copy_answer(viewer: User, original: Answer, reply: Message) -> Answer:
    """Without its tokens: nobody is charged for them twice. Its events are not sent: the log begins with the copy."""
    return Answer.objects.create(
        message=reply,
        asked_by=viewer,
        client_id=uuid.uuid4(),
        endpoint=original.endpoint,
        thinking=original.thinking,
        search=original.search,
        deep=original.deep,
        read_all=original.read_all,
        seed=original.seed,
        status=original.status,
        reasoning=original.reasoning,
        thinking_ms=original.thinking_ms,
        error_code=original.error_code,
        finish_reason=original.finish_reason,
        model_name=original.model_name,
        notices=original.notices,
        ended_at=original.ended_at,
        queued_event_at=Now(),
        ended_event_at=Now(),
    )


def _copy_files(viewer: User, original: Message, copy: Message) -> None:
    attachments = list(original.attachments.all())
    may_read = set(
        readable(viewer).filter(pk__in=[each.upload_id for each in attachments]).values_list("pk", flat=True)
    )
    Attachment.objects.bulk_create(
        Attachment(
            message=copy,
            upload_id=each.upload_id if each.upload_id in may_read else None,
            position=each.position,
            name=each.name,
        )
        for each in attachments
    )


def _copy_sources(original: Answer, copy: Answer) -> None:
    """Marks lead to the same passages. What is removed with a file is found by the file, in copies too."""
    pages = copy_searches(original, copy)
    new_ids: dict[UUID, UUID] = {}
    for evidence in original.evidence.all():
        old_id, evidence.pk = evidence.pk, uuid.uuid4()
        evidence.answer = copy
        if evidence.page_id in pages:
            evidence.page_id = evidence.source_id = pages[evidence.page_id]
        evidence.save(force_insert=True)
        new_ids[old_id] = evidence.pk
    Check.objects.bulk_create(
        Check(
            answer=copy,
            start=check.start,
            end=check.end,
            numbers=check.numbers,
            verdict=check.verdict,
            evidence_id=new_ids.get(check.evidence_id) if check.evidence_id else None,
        )
        for check in original.checks.all()
    )
    assert Evidence.objects.filter(answer=copy).count() == len(new_ids)
