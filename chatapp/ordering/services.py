"""What a person does with many conversations at once: all of them, or none. One transaction each."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import User
from chatapp.answers import doorbell
from chatapp.conversations import services as conversations
from chatapp.conversations.access import allowed
from chatapp.errors import ChatError, NotFound
from chatapp.ordering.models import Kept

logger = logging.getLogger(__name__)

MOST = 200  # conversations at once
MOST_PINNED = 50  # they are all shown, above everything else


def pin(viewer: User, conversation_ids: Sequence[UUID]) -> None:
    """Raises NotFound, ChatError."""
    _keep(viewer, conversation_ids, pinned_at=Now())
    if Kept.objects.filter(person=viewer, pinned_at__isnull=False).count() > MOST_PINNED:
        raise ChatError("too_many", _("At most %(limit)s chats can be pinned.") % {"limit": MOST_PINNED})


def archive(viewer: User, conversation_ids: Sequence[UUID]) -> None:
    """Raises NotFound."""
    _keep(viewer, conversation_ids, archived_at=Now())


def release(viewer: User, conversation_ids: Sequence[UUID]) -> None:
    """Neither pinned nor archived any more. Raises NotFound."""
    _keep(viewer, conversation_ids)


def delete(viewer: User, conversation_ids: Sequence[UUID]) -> None:
    """The viewer's own alone; undone by restore(). Raises NotFound."""
    for conversation_id in conversation_ids:
        conversations.delete(viewer, conversation_id)


def restore(viewer: User, conversation_ids: Sequence[UUID]) -> None:
    """Raises NotFound."""
    for conversation_id in conversation_ids:
        conversations.restore(viewer, conversation_id)


DEEDS: Mapping[str, Callable[[User, Sequence[UUID]], None]] = {
    "pin": pin,
    "archive": archive,
    "release": release,
    "delete": delete,
    "restore": restore,
}


def do(viewer: User, deed: str, conversation_ids: Sequence[UUID]) -> None:
    """One of DEEDS, to all of these or to none. Raises NotFound, ChatError."""
    with transaction.atomic():
        DEEDS[deed](viewer, conversation_ids)
        transaction.on_commit(partial(doorbell.ring_list_blocking, viewer.pk))
    logger.info("conversations %s num=%d by=%s", deed, len(conversation_ids), viewer.pk)


def _keep(viewer: User, conversation_ids: Sequence[UUID], **moments: Now) -> None:
    if allowed(viewer).filter(pk__in=conversation_ids).count() != len(set(conversation_ids)):
        raise NotFound
    Kept.objects.bulk_create(
        (Kept(person=viewer, conversation_id=each, **moments) for each in set(conversation_ids)),
        update_conflicts=True,
        unique_fields=["person", "conversation"],
        update_fields=["pinned_at", "archived_at"],
    )
