"""Links by which somebody who has forgotten their password chooses a new one: handed over by a keeper of the team, or
made on the machine itself, because no mail is ever sent.

Nothing is stored: Django's token is signed over the password and the last sign-in, so that it ends with either of
them, and by its age (PASSWORD_RESET_TIMEOUT).
"""

import logging
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import User
from chatapp.accounts.sessions import end_all
from chatapp.errors import ChatError
from chatapp.people.rights import hold

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """`token` is told here and never again."""

    person: User
    token: str


def make(viewer: User, person_id: UUID) -> Made:
    """Raises NotFound, ChatError."""
    with transaction.atomic():
        _keeper, person = hold(viewer, person_id)
    made = make_for(person)
    logger.info("person %s gets a link to choose a password by=%s", person.pk, viewer.pk)
    return made


def make_for(person: User) -> Made:
    """Raises ChatError(suspended, elsewhere)."""
    if not person.is_active:
        raise ChatError("suspended", _("They are suspended. Let them in again first."))
    if not person.has_usable_password():
        raise ChatError("elsewhere", _("They sign in elsewhere and have no password here."))
    return Made(person, default_token_generator.make_token(person))


def find(person_id: UUID, token: str) -> User | None:
    """Whose link this is, if it works."""
    person = User.objects.filter(pk=person_id, is_active=True).first()
    return person if person is not None and default_token_generator.check_token(person, token) else None


def choose(person_id: UUID, token: str, password: str) -> bool:
    """Ends every session of the person. False where the link does not work (any more): of two at once one wins."""
    with transaction.atomic():
        person = User.objects.select_for_update().filter(pk=person_id, is_active=True).first()
        if person is None or not default_token_generator.check_token(person, token):
            return False
        person.set_password(password)
        person.save(update_fields=["password"])
        end_all(person)
    logger.info("person %s chose a password by a link", person.pk)
    return True
