"""What is done to a conversation as a whole. One transaction each; the event and the bells follow the commit."""

import logging
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.answers import doorbell
from chatapp.answers.events import Event, TitleChanged
from chatapp.answers.log import BlockingEventLog
from chatapp.answers.models import ENDED, Answer
from chatapp.answers.services import cancel
from chatapp.conversations.access import owned
from chatapp.conversations.models import Conversation
from chatapp.conversations.selectors import get_conversation, read_tree
from chatapp.errors import Invalid, NotFound
from chatapp.finding.indexing import ask_for_index

logger = logging.getLogger(__name__)

MAX_TITLE = 200  # characters, the column's width


def rename(viewer: User, conversation_id: UUID, title: str) -> Conversation:
    """Raises NotFound, Invalid."""
    title = " ".join(title.replace("\0", "").split())
    if not 1 <= len(title) <= MAX_TITLE:
        words = _("A title has 1 to %(limit)s characters; this one has %(length)s.")
        raise Invalid("title", words % {"limit": MAX_TITLE, "length": len(title)})
    with transaction.atomic():
        conversation = get_conversation(viewer, conversation_id, Access.WRITE)
        set_title(conversation, title, Conversation.TitleSource.PERSON)
    return conversation


def set_title(conversation: Conversation, title: str, source: Conversation.TitleSource) -> None:
    """For whoever may. A title that a person gave is only changed by a person."""
    rows = Conversation.objects.filter(pk=conversation.pk)
    if source != Conversation.TitleSource.PERSON:
        rows = rows.exclude(title_source=Conversation.TitleSource.PERSON)
    if rows.update(title=title, title_source=source):
        conversation.title, conversation.title_source = title, source
        transaction.on_commit(partial(announce, conversation, TitleChanged(title)))
        transaction.on_commit(ask_for_index)


def delete(viewer: User, conversation_id: UUID) -> None:
    """The owner's alone; undone by restore() for 30 days. Open answers are called off. Raises NotFound."""
    with transaction.atomic():
        conversation = _own(viewer, conversation_id)
        Conversation.objects.filter(pk=conversation_id, deleted_at=None).update(deleted_at=Now())
        for answer in Answer.objects.filter(message__conversation=conversation).exclude(status__in=ENDED):
            cancel(answer)
        transaction.on_commit(partial(_announce_rights, conversation))


def restore(viewer: User, conversation_id: UUID) -> Conversation:
    """Raises NotFound once it has been removed for good."""
    with transaction.atomic():
        conversation = _own(viewer, conversation_id)
        conversation.deleted_at = None
        conversation.save(update_fields=["deleted_at"])
        transaction.on_commit(partial(doorbell.ring_list_blocking, conversation.owner_id))
    return conversation


def select_leaf(viewer: User, conversation_id: UUID, message_id: UUID) -> UUID:
    """Remembers the branch through this message as the one shown; returns the end of it. Raises NotFound."""
    conversation = get_conversation(viewer, conversation_id, Access.WRITE)
    tree = read_tree(conversation_id)
    if message_id not in tree:
        raise NotFound
    end = tree.end_of(message_id)
    assert end is not None, "a message is at least its own end"
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=end)
    return end


def announce(conversation: Conversation, event: Event) -> None:
    """An event that rows hold too: lost with Valkey, it is seen at the next reload."""
    try:
        BlockingEventLog().append(conversation.pk, event)
    except RedisError as error:
        logger.warning("conversation %s: %s not announced: %s", conversation.pk, event.kind, type(error).__name__)
        return
    doorbell.ring_list_blocking(conversation.owner_id)


def _announce_rights(conversation: Conversation) -> None:
    doorbell.ring_rights_blocking(conversation.pk)
    doorbell.ring_list_blocking(conversation.owner_id)


def _own(viewer: User, conversation_id: UUID) -> Conversation:
    conversation = owned(viewer).filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound
    return conversation
