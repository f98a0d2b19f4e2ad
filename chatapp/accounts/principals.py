"""With whom something is shared: a person, a group, or everyone of the team. The same for chats and collections."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from chatapp.accounts.grants import TeamGrant
from chatapp.accounts.models import Group, Role, User

Principal = User | Group | None  # None: everyone


@dataclass(frozen=True, slots=True)
class GrantRow:
    id: int
    kind: str  # everyone, group or person
    name: str
    access: str


def principals(viewer: User) -> list[tuple[str, str]]:
    """With whom the viewer may share: value and words. Guests know only the groups that they are in."""
    if viewer.role == Role.GUEST:
        return [(f"group:{group.pk}", group.name) for group in viewer.teams.order_by("name")]
    people = User.objects.filter(is_active=True).exclude(pk=viewer.pk).order_by("name", "email")
    return [
        ("everyone", _("Everyone in the team")),
        *(
            (f"group:{group.pk}", _("Group: %(name)s") % {"name": group.name})
            for group in Group.objects.order_by("name")
        ),
        *((f"person:{person.pk}", f"{person.name} ({person.email})") for person in people),
    ]


def columns_of(principal: Principal) -> dict[str, Any]:
    """Of a TeamGrant."""
    return {
        "user": principal if isinstance(principal, User) else None,
        "group": principal if isinstance(principal, Group) else None,
        "everyone": principal is None,
    }


def rows_of(grants: QuerySet[Any]) -> list[GrantRow]:
    """Of one thing's grants, everyone first."""
    rows = map(_row, grants.select_related("user", "group"))
    return sorted(rows, key=lambda row: (row.kind != "everyone", row.kind, row.name))


def _row(grant: TeamGrant) -> GrantRow:
    if grant.user is not None:
        return GrantRow(grant.pk, "person", grant.user.name, grant.access)
    if grant.group is not None:
        return GrantRow(grant.pk, "group", grant.group.name, grant.access)
    return GrantRow(grant.pk, "everyone", _("Everyone in the team"), grant.access)
