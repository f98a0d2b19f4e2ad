"""Sharing a conversation inside the team: its owner's alone. What counts is decided in conversations/access.py."""

import logging
from functools import partial
from uuid import UUID

from django.db import transaction

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.accounts.principals import Principal, columns_of
from chatapp.answers import doorbell
from chatapp.conversations.access import owned
from chatapp.conversations.models import Conversation, Grant
from chatapp.errors import NotFound

logger = logging.getLogger(__name__)


def get_own(viewer: User, conversation_id: UUID) -> Conversation:
    """One that is the viewer's to share; a temporary one is nobody else's to see. Raises NotFound."""
    conversation = owned(viewer).filter(pk=conversation_id, deleted_at=None, is_temporary=False).first()
    if conversation is None:
        raise NotFound
    return conversation


def share(viewer: User, conversation_id: UUID, principal: Principal, access: Access) -> Grant:
    """With a person, a group, or everyone of the team (None); in place of what they had. Raises NotFound."""
    with transaction.atomic():
        conversation = get_own(viewer, conversation_id)
        grant, _made = Grant.objects.update_or_create(
            conversation=conversation, **columns_of(principal), defaults={"access": access}
        )
        _announce(conversation, grant)
    logger.info("conversation %s shared grant=%d by=%s", conversation_id, grant.pk, viewer.pk)
    return grant


def end_share(viewer: User, conversation_id: UUID, grant_id: int) -> None:
    """Open pages of it close at once. Raises NotFound."""
    with transaction.atomic():
        conversation = get_own(viewer, conversation_id)
        grant = conversation.grants.filter(pk=grant_id).first()
        if grant is None:
            raise NotFound
        _announce(conversation, grant)
        grant.delete()
    logger.info("conversation %s no longer shared grant=%d by=%s", conversation_id, grant_id, viewer.pk)


def _announce(conversation: Conversation, grant: Grant) -> None:
    """To open pages of it, and to the lists of a person or a group; those of everyone follow at their next page."""
    transaction.on_commit(partial(doorbell.ring_rights_blocking, conversation.pk))
    people = [grant.user_id] if grant.user_id else []
    if grant.group is not None:
        people = list(grant.group.members.values_list("pk", flat=True))
    for person_id in people:
        assert person_id is not None
        transaction.on_commit(partial(doorbell.ring_list_blocking, person_id))
