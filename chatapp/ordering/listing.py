"""Which of a person's conversations stand in their list, at its top, or in their archive. Asks nobody for rights."""

from django.db.models import Exists, OuterRef, QuerySet

from chatapp.accounts.models import User
from chatapp.conversations.models import Conversation
from chatapp.ordering.models import Kept


def listed(conversations: QuerySet[Conversation], person: User) -> QuerySet[Conversation]:
    """Those that the person has not archived; each knows whether it `is_pinned`."""
    return conversations.filter(~Exists(_archived(person))).annotate(is_pinned=Exists(_pinned(person)))


def pinned(conversations: QuerySet[Conversation], person: User) -> QuerySet[Conversation]:
    return conversations.filter(Exists(_pinned(person)))


def not_pinned(conversations: QuerySet[Conversation], person: User) -> QuerySet[Conversation]:
    return conversations.filter(~Exists(_pinned(person)))


def archived(conversations: QuerySet[Conversation], person: User) -> QuerySet[Conversation]:
    return conversations.filter(Exists(_archived(person)))


def _pinned(person: User) -> QuerySet[Kept]:
    return _kept(person).filter(pinned_at__isnull=False)


def _archived(person: User) -> QuerySet[Kept]:
    return _kept(person).filter(archived_at__gte=OuterRef("updated_at"))


def _kept(person: User) -> QuerySet[Kept]:
    return Kept.objects.filter(person=person, conversation=OuterRef("pk"))
