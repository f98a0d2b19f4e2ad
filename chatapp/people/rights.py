"""Who may do what to whom, in one place.

Owners and admins look after the team; to everybody else its pages are not there. An owner may do everything to
everybody. An admin does not touch an owner and makes nobody one. There is always one owner who can come in: the last
one is not demoted, suspended or removed, and does not leave. Nobody suspends or removes themselves: they leave.
"""

from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import Role, User
from chatapp.errors import ChatError, NotFound

KEEPERS = (Role.OWNER, Role.ADMIN)


def may_manage(viewer: User) -> bool:
    return viewer.is_active and viewer.role in KEEPERS


def may_touch(viewer: User, person: User) -> bool:
    return may_manage(viewer) and (viewer.role == Role.OWNER or person.role != Role.OWNER)


def grantable(viewer: User) -> list[Role]:
    """The roles that the viewer may give."""
    if not may_manage(viewer):
        return []
    return [role for role in Role if viewer.role == Role.OWNER or role != Role.OWNER]


def people(viewer: User) -> QuerySet[User]:
    """Those whom the viewer may see as a keeper of the team: all, or nobody."""
    return User.objects.all() if may_manage(viewer) else User.objects.none()


def hold(viewer: User, person_id: UUID) -> tuple[User, User]:
    """Viewer and person, read again and locked with every owner, so that two changes cannot both spare the last one.

    Inside a transaction. Raises NotFound, ChatError(not_yours).
    """
    rows = User.objects.select_for_update().filter(Q(pk__in=[viewer.pk, person_id]) | Q(role=Role.OWNER))
    held = {row.pk: row for row in rows.order_by("pk")}
    keeper, person = held.get(viewer.pk), held.get(person_id)
    if keeper is None or person is None or not may_manage(keeper):
        raise NotFound
    if not may_touch(keeper, person):
        raise ChatError("not_yours", _("Only an owner may change an owner."))
    return keeper, person


def spare_last_owner(person: User) -> None:
    """Inside a transaction that holds the owners. Raises ChatError(last_owner)."""
    if person.role != Role.OWNER or not person.is_active:
        return
    if not User.objects.filter(role=Role.OWNER, is_active=True).exclude(pk=person.pk).exists():
        raise ChatError("last_owner", _("This is the only owner. Make somebody else an owner first."))
