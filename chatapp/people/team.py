"""The team as its keepers see it. Selectors: the viewer comes first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from chatapp.accounts import codes
from chatapp.accounts.models import Group, User
from chatapp.errors import NotFound
from chatapp.people.groups import groups
from chatapp.people.invitations import invitations
from chatapp.people.models import Invitation
from chatapp.people.rights import grantable, may_manage, may_touch, people

PAGE = 50
MAX_QUERY = 100  # characters
MAX_INVITATIONS = 100  # shown


@dataclass(frozen=True, slots=True)
class PersonCard:
    """One person with what the viewer may do to them."""

    person: User
    last_seen_at: datetime | None
    groups: list[Group]
    roles: list[str]  # that the viewer may give them; empty where they may not be touched
    is_self: bool
    has_codes: bool
    has_password: bool

    @property
    def may_touch(self) -> bool:
        return bool(self.roles)


# orphaned: its maker keeps no team any more
State = Literal["works", "expired", "used", "revoked", "orphaned"]


@dataclass(frozen=True, slots=True)
class InvitationRow:
    invitation: Invitation
    state: State
    arrived: list[User]

    @property
    def works(self) -> bool:
        return self.state == "works"


def list_people(viewer: User, query: str, page: int) -> "Page[Any]":
    """By name; with `query` those whose name or address has it. Each has `last_seen_at`."""
    found = people(viewer)
    if query := query.replace("\0", "").strip():
        found = found.filter(Q(name__icontains=query) | Q(email__icontains=query))
    seen = found.annotate(last_seen_at=Max("sign_ins__last_seen_at"))
    return Paginator(seen.order_by("name", "email"), PAGE).get_page(page)


def list_groups(viewer: User) -> QuerySet[Group]:
    """Each with `num_members`."""
    return groups(viewer).annotate(num_members=Count("members"))


def list_invitations(viewer: User) -> list[InvitationRow]:
    """Those that work, then the newest of those that do not any more."""
    rows = [_row(each) for each in invitations(viewer)[:MAX_INVITATIONS]]
    return sorted(rows, key=lambda row: not row.works)


def read_person(viewer: User, person_id: UUID) -> PersonCard:
    """Raises NotFound."""
    person = people(viewer).filter(pk=person_id).first()
    if person is None:
        raise NotFound
    return PersonCard(
        person=person,
        last_seen_at=person.sign_ins.aggregate(seen=Max("last_seen_at"))["seen"],
        groups=list(person.teams.order_by("name")),
        roles=[role.value for role in grantable(viewer)] if may_touch(viewer, person) else [],
        is_self=person.pk == viewer.pk,
        has_codes=codes.is_on(person),
        has_password=person.has_usable_password(),
    )


def addable(viewer: User, group: Group) -> list[User]:
    """Who is not in the group yet."""
    return list(people(viewer).filter(is_active=True).exclude(teams=group).order_by("name", "email"))


def _row(invitation: Invitation) -> InvitationRow:
    return InvitationRow(invitation, _state(invitation), [arrival.person for arrival in invitation.arrivals.all()])


def _state(invitation: Invitation) -> State:
    if invitation.revoked_at is not None:
        return "revoked"
    if invitation.num_uses >= invitation.max_uses:
        return "used"
    if invitation.expires_at <= timezone.now():
        return "expired"
    return "works" if invitation.made_by is not None and may_manage(invitation.made_by) else "orphaned"
