"""What is done to a person's standing in the team: role, suspension, coming back. One transaction each."""

import logging
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from chatapp.accounts import codes
from chatapp.accounts.models import Role, User
from chatapp.accounts.sessions import end_all
from chatapp.accounts.signals import announce_rights, keys_ended
from chatapp.answers.models import ENDED, Answer
from chatapp.answers.services import cancel
from chatapp.errors import ChatError, Invalid
from chatapp.people.rights import grantable, hold, spare_last_owner

logger = logging.getLogger(__name__)


def change_role(viewer: User, person_id: UUID, role: str) -> User:
    """Raises NotFound, Invalid, ChatError."""
    with transaction.atomic():
        keeper, person = hold(viewer, person_id)
        if role not in grantable(keeper):
            raise Invalid("role", _("You cannot give this role."))
        if role != Role.OWNER:
            spare_last_owner(person)
        person.role = role
        person.save(update_fields=["role"])
        announce_rights(person.pk)
    logger.info("person %s is %s by=%s", person.pk, role, viewer.pk)
    return person


def suspend(viewer: User, person_id: UUID) -> User:
    """Sessions, sockets, keys and running answers end at once; all that they own stays. Raises NotFound, ChatError."""
    with transaction.atomic():
        keeper, person = hold(viewer, person_id)
        if keeper.pk == person.pk:
            raise ChatError("yourself", _("You cannot suspend yourself."))
        spare_last_owner(person)
        shut_out(person)
    logger.info("person %s suspended by=%s", person.pk, viewer.pk)
    return person


def reactivate(viewer: User, person_id: UUID) -> User:
    """They have to sign in again. Raises NotFound, ChatError."""
    with transaction.atomic():
        _keeper, person = hold(viewer, person_id)
        end_all(person)  # a session begun in the moment of the suspension must not come back with them
        person.is_active = True
        person.save(update_fields=["is_active"])
    logger.info("person %s reactivated by=%s", person.pk, viewer.pk)
    return person


def reset_codes(viewer: User, person_id: UUID) -> User:
    """For somebody who has lost phone and recovery codes; their password stays. Raises NotFound, ChatError."""
    with transaction.atomic():
        _keeper, person = hold(viewer, person_id)
        codes.switch_off(person)
    logger.info("person %s second step reset by=%s", person.pk, viewer.pk)
    return person


def shut_out(person: User) -> None:
    """Inside a transaction: nothing that they hold opens anything from its commit on."""
    person.is_active = False
    person.save(update_fields=["is_active"])
    end_all(person)
    keys_ended.send(sender=None, person_id=person.pk)
    for answer in Answer.objects.filter(asked_by=person).exclude(status__in=ENDED):
        cancel(answer)
