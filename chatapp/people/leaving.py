"""Leaving the team, and being removed from it: everything they own goes to a chosen member, or is deleted with them.

First they are shut out, so that nothing new comes while it goes; last their row is deleted. A crash between leaves a
suspended person whom a keeper can remove again.
"""

import logging
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import Role, User
from chatapp.errors import ChatError, Invalid
from chatapp.people import belongings
from chatapp.people.rights import hold, may_manage, spare_last_owner
from chatapp.people.standing import shut_out

logger = logging.getLogger(__name__)


def heirs(viewer: User, person: User) -> QuerySet[User]:
    """To whom the viewer may give what the person owns. A guest, who is not of the team, knows nobody to choose."""
    if not may_manage(viewer) and (viewer.pk != person.pk or viewer.role == Role.GUEST):
        return User.objects.none()
    team = User.objects.filter(is_active=True).exclude(role=Role.GUEST)
    return team.exclude(pk=person.pk).order_by("name", "email")


def remove(viewer: User, person_id: UUID, heir_id: UUID | None) -> User:
    """Somebody else, by a keeper; returns the person that was. Raises NotFound, Invalid, ChatError."""
    with transaction.atomic():
        keeper, person = hold(viewer, person_id)
        if keeper.pk == person.pk:
            raise ChatError("yourself", _("To go yourself, leave the team on the page of your account."))
        heir = _end_membership(keeper, person, heir_id)
    _settle(person, heir)
    logger.info("person %s removed by=%s", person_id, viewer.pk)
    return person


def leave(person: User, heir_id: UUID | None) -> None:
    """Oneself. Raises Invalid, ChatError(last_owner)."""
    with transaction.atomic():
        # All owners are held, as by rights.hold: two who leave at once cannot both be the last but one.
        list(User.objects.select_for_update().filter(role=Role.OWNER).order_by("pk").values("pk"))
        heir = _end_membership(person, person, heir_id)
    _settle(person, heir)
    logger.info("person %s left", person.pk)


def _end_membership(viewer: User, person: User, heir_id: UUID | None) -> User | None:
    spare_last_owner(person)
    heir = heirs(viewer, person).filter(pk=heir_id).first() if heir_id else None
    if heir_id and heir is None:
        raise Invalid("heir", _("This person cannot take it over."))
    shut_out(person)
    return heir


def _settle(person: User, heir: User | None) -> None:
    if heir is None:
        belongings.delete(person)
    else:
        belongings.hand_over(person, heir)
    User.objects.filter(pk=person.pk).delete()
