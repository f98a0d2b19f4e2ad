"""Who somebody known elsewhere (OpenID Connect, a directory) is here.

First by the identity that was joined before. Else by their address, where the source has verified it; but an owner is
joined only by themselves, signed in: else whoever keeps the source could become owner here by writing an address into
it. Else it is a newcomer, and the configuration says what becomes of those.
"""

import logging
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Value
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import Identity, Role, User
from chatapp.config import Newcomers
from chatapp.errors import ChatError, Words

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What a source says of a person."""

    source: str
    subject: str
    email: str
    name: str
    email_is_verified: bool


class Stranger(ChatError):
    def __init__(self, message: Words) -> None:
        super().__init__("stranger", message)


def person_for(known: Known, newcomers: Newcomers) -> User:
    """The active person. Raises Stranger."""
    joined = Identity.objects.select_related("user").filter(source=known.source, subject=known.subject).first()
    if joined is not None:
        return _active(joined.user)
    person = _by_address(known)
    if person is None:
        return _newcomer(known, newcomers)
    if person.role == Role.OWNER:
        raise Stranger(_("An owner connects this way in on the page of their account first."))
    join(_active(person), known)
    return person


def join(person: User, known: Known) -> None:
    """From now on this identity is this person. Raises Stranger where it is somebody else's."""
    try:
        with transaction.atomic():
            Identity.objects.create(user=person, source=known.source, subject=known.subject)
    except IntegrityError:
        if not Identity.objects.filter(user=person, source=known.source, subject=known.subject).exists():
            raise Stranger(_("This account is connected with somebody else here.")) from None
        return
    logger.info("identity joined person=%s source=%s", person.pk, known.source)


def _by_address(known: Known) -> User | None:
    if not known.email or not known.email_is_verified:
        return None
    return User.objects.alias(folded=Lower("email")).filter(folded=Lower(Value(known.email))).first()


def _newcomer(known: Known, newcomers: Newcomers) -> User:
    if newcomers == "nobody":
        raise Stranger(_("You have no account here yet. Ask an owner or admin for an invitation."))
    if not known.email or not known.email_is_verified:
        raise Stranger(_("Your account there has no verified email, which is needed here."))
    person = User(email=User.objects.normalize_email(known.email), name=_name(known), role=Role(newcomers))
    person.set_unusable_password()
    try:
        with transaction.atomic():
            person.save(force_insert=True)
            Identity.objects.create(user=person, source=known.source, subject=known.subject)
    except IntegrityError:  # the same person in two tabs, at the same moment
        return person_for(known, "nobody")
    logger.info("newcomer person=%s role=%s source=%s", person.pk, person.role, known.source)
    return person


def _active(person: User) -> User:
    if not person.is_active:
        raise Stranger(_("Your account here is suspended."))
    return person


def _name(known: Known) -> str:
    shown = " ".join("".join(letter for letter in known.name if letter.isprintable()).split())
    return shown[:100] or known.email.partition("@")[0][:100]
