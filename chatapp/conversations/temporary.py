"""Temporary chats: in no list, found by nobody, and gone for good soon after their page was closed, or in a day.

A page that is loaded again looks like one that is closed, and says so after the new one was sent: so a closed one waits
a moment, and pages say now and then that they are open.
"""

import logging
from datetime import timedelta
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Least, Now

from chatapp.accounts.models import User
from chatapp.conversations.access import owned
from chatapp.conversations.models import Conversation
from chatapp.conversations.removal import remove_for_good
from chatapp.errors import NotFound

logger = logging.getLogger(__name__)

KEPT = timedelta(hours=24)
KEPT_CLOSED = timedelta(minutes=2)


def begin(viewer: User) -> Conversation:
    conversation = Conversation.objects.create(owner=viewer, is_temporary=True, expires_at=Now() + KEPT)
    conversation.refresh_from_db(fields=["expires_at"])
    return conversation


def close(viewer: User, conversation_id: UUID) -> None:
    """Its page was closed. Safe to repeat. Raises NotFound for one that is not temporary, or not the viewer's."""
    found = owned(viewer).filter(pk=conversation_id, is_temporary=True)
    if not found.update(expires_at=Least(F("expires_at"), Now() + KEPT_CLOSED)):
        raise NotFound


def come_back(viewer: User, conversation_id: UUID) -> None:
    """Its page is open, perhaps again: it has its day. Raises NotFound."""
    found = owned(viewer).filter(pk=conversation_id, is_temporary=True, expires_at__gt=Now())
    if not found.update(expires_at=F("created_at") + KEPT):
        raise NotFound


def remove_expired() -> int:
    """Every minute; allowed() has shown them to nobody since they ran out."""
    num_removed = 0
    for conversation in Conversation.objects.filter(expires_at__lt=Now()).only("id").iterator():
        remove_for_good(conversation)
        num_removed += 1
    return num_removed
