"""Who can see a thing, and why: every person with each of their reasons. The owner's to know.

Reasons are read from the same rows by which rights are decided; tests/chatapp/sharing/test_seeing.py holds that the
people named here are those whom the rights let in, and no others.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chatapp.accounts.grants import Access, TeamGrant
from chatapp.accounts.models import Role, User
from chatapp.files.access import get_own_collection
from chatapp.folders.access import get_own_folder
from chatapp.presets.access import get_own_preset
from chatapp.sharing.grants import get_own
from chatapp.sharing.links import working_links_of
from chatapp.sharing.models import PublicLink


@dataclass(frozen=True, slots=True)
class Kind:
    """`find` gives the viewer's own one or raises NotFound. `back` is the route of its page, by its id."""

    find: Callable[[User, UUID], Any]
    back: str
    words: str | Promise


KINDS: Mapping[str, Kind] = {
    "conversation": Kind(get_own, "share_conversation", gettext_lazy("Who can see this chat, and why")),
    "collection": Kind(get_own_collection, "collection", gettext_lazy("Who can see this collection, and why")),
    "folder": Kind(get_own_folder, "folder", gettext_lazy("Who can see this folder, and why")),
    "preset": Kind(get_own_preset, "preset", gettext_lazy("Who can see this preset, and why")),
}


@dataclass(slots=True)
class Seer:
    person: User
    may_write: bool = False
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seen:
    name: str
    seers: list[Seer]  # the owner first, then by name
    links: list[PublicLink]  # those that work: whoever has one sees what had been said when it was made


def seen_by(viewer: User, kind: str, thing_id: UUID) -> Seen:
    """Raises NotFound for what is not the viewer's."""
    thing = KINDS[kind].find(viewer, thing_id)
    seers = {thing.owner_id: Seer(thing.owner, True, [_("owns it")])}
    for grant in thing.grants.select_related("user", "group").order_by("-everyone", "group__name", "pk"):
        reason = _reason(grant)
        for person in _people_of(grant):
            seer = seers.setdefault(person.pk, Seer(person))
            seer.reasons.append(reason)
            seer.may_write |= grant.access == Access.WRITE
    owner, *others = seers.values()
    others.sort(key=lambda seer: (seer.person.name, seer.person.email))
    is_chat = kind == "conversation"
    return Seen(
        thing.title if is_chat else thing.name, [owner, *others], list(working_links_of(thing)) if is_chat else []
    )


def _people_of(grant: TeamGrant) -> Iterable[User]:
    """Suspended people have no rights; guests are not of the team."""
    active = User.objects.filter(is_active=True)
    if grant.user_id is not None:
        return active.filter(pk=grant.user_id)
    if grant.group_id is not None:
        return active.filter(teams=grant.group_id)
    return active.exclude(role=Role.GUEST)


def _reason(grant: TeamGrant) -> str:
    if grant.user_id is not None:
        return _("shared with them")
    if grant.group is not None:
        return _("is in the group “%(name)s”, with which it is shared") % {"name": grant.group.name}
    return _("is in the team, with all of which it is shared")
