"""The one place of rights on conversations: a queryset, and a question asked of it.

Its owner may do everything. A grant gives read, or write (which includes read), to a person, to a group, or to
everyone; guests are not of the team, so `everyone` leaves them out. Inactive people have no rights at all.
"""

from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet
from django.db.models.functions import Now

from chatapp.accounts.grants import Access, open_to
from chatapp.accounts.models import User
from chatapp.conversations.models import Conversation, Grant


def allowed(viewer: User, access: Access = Access.READ) -> QuerySet[Conversation]:
    """The conversations that the viewer may use so. Deleted ones are nobody's, until they are restored; temporary ones
    that have run out, for good.
    """
    kept = Conversation.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), deleted_at=None)
    return open_to(kept, Grant.objects.filter(conversation=OuterRef("pk")), viewer, access)


def owned(viewer: User) -> QuerySet[Conversation]:
    """The viewer's own, deleted ones included: what may be deleted and restored."""
    return Conversation.objects.filter(owner=viewer) if viewer.is_active else Conversation.objects.none()


def may(viewer: User, conversation_id: UUID, access: Access = Access.READ) -> bool:
    return allowed(viewer, access).filter(pk=conversation_id).exists()
