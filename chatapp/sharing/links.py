"""Public links: a snapshot for whoever has the link, until it expires or is revoked.

A link shows what had been said when it was made, and nothing that was said later. It works only while whoever made it
is active and owns the conversation, while that is not deleted, and while the site allows such links at all. Links that
do not work look alike.
"""

import hashlib
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import Role, User
from chatapp.conversations.models import Conversation
from chatapp.errors import ChatError, Invalid, NotFound
from chatapp.sharing.branch import ended_turns
from chatapp.sharing.grants import get_own
from chatapp.sharing.models import PublicLink

logger = logging.getLogger(__name__)

MAX_DAYS = 365
MOST = 50  # links of a conversation, so that nobody fills the database with snapshots


@dataclass(frozen=True, slots=True)
class Made:
    """`token` is told here and never again."""

    link: PublicLink
    token: str


def may_publish(viewer: User) -> bool:
    """Guests are not of the team, and show nothing of it to others."""
    return bool(settings.CONFIG.public_links) and viewer.is_active and viewer.role != Role.GUEST


def make(viewer: User, conversation_id: UUID, days: int) -> Made:
    """Raises NotFound, Invalid, ChatError."""
    conversation = get_own(viewer, conversation_id)
    if not may_publish(viewer):
        raise NotFound
    if not 1 <= days <= MAX_DAYS:
        raise Invalid("days", _("This must be from 1 to %(limit)s.") % {"limit": MAX_DAYS})
    if conversation.links.count() >= MOST:
        raise ChatError("too_many", _("This chat has %(limit)s links: end one first.") % {"limit": MOST})
    messages = snapshot(conversation)
    if not messages:
        raise ChatError("empty", _("There is nothing to show yet: no answer has ended."))
    token = secrets.token_urlsafe(32)
    link = PublicLink.objects.create(
        token_hash=_hash(token),
        conversation=conversation,
        made_by=viewer,
        title=conversation.title,
        messages=messages,
        expires_at=timezone.now() + timedelta(days=days),
    )
    logger.info("conversation %s public link=%s days=%d by=%s", conversation_id, link.pk, days, viewer.pk)
    return Made(link, token)


def revoke(viewer: User, conversation_id: UUID, link_id: UUID) -> None:
    """The snapshot goes with it. Raises NotFound."""
    if not get_own(viewer, conversation_id).links.filter(pk=link_id).delete()[0]:
        raise NotFound
    logger.info("conversation %s public link=%s revoked by=%s", conversation_id, link_id, viewer.pk)


def links_of(conversation: Conversation) -> QuerySet[PublicLink]:
    return conversation.links.filter(expires_at__gt=Now())


def working_links_of(conversation: Conversation) -> QuerySet[PublicLink]:
    """Those that find() would find."""
    found = links_of(conversation).filter(made_by=conversation.owner)
    return found if settings.CONFIG.public_links else found.none()


def find(token: str) -> PublicLink | None:
    if not settings.CONFIG.public_links:
        return None
    return PublicLink.objects.filter(
        token_hash=_hash(token),
        expires_at__gt=Now(),
        conversation__deleted_at=None,
        conversation__owner=F("made_by"),
        made_by__is_active=True,
    ).first()


def remove_expired() -> int:
    return PublicLink.objects.filter(expires_at__lt=Now()).delete()[0]


def snapshot(conversation: Conversation) -> list[dict[str, str]]:
    """Texts alone: who has asked, which files were read and what the model thought is nobody else's."""
    return [
        {"role": message.role, "text": message.text}
        for turn in ended_turns(conversation)
        for message in (turn.question, turn.reply)
    ]


def _hash(token: str) -> str:
    # The token has 256 random bits: nothing to guess, so a slow hash would add nothing.
    return hashlib.sha256(token.encode()).hexdigest()
