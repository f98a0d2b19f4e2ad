"""Invitation links: made, revoked, used. A link works while it is not expired, used up or revoked, and while whoever
made it still looks after the team: what a suspended admin has handed out opens nothing.

To strangers all links that do not work look alike. Whoever has one that works can find out whether an address has an
account already, as in every house that makes accounts without writing to their addresses; so that costs a use of the
link like a sign-up, and tries are counted (accounts/throttle.py).
"""

import hashlib
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import Group, Role, User
from chatapp.errors import ChatError, Invalid, NotFound
from chatapp.people.models import Arrival, Invitation
from chatapp.people.rights import KEEPERS, grantable, may_manage

logger = logging.getLogger(__name__)

MAX_DAYS = 90  # a link that lies about for longer is not remembered by anybody
MAX_USES = 500  # people: the largest team that a link was made for here
MAX_NOTE = 100  # characters, the column's width


@dataclass(frozen=True, slots=True)
class Made:
    """`token` is told here and never again."""

    invitation: Invitation
    token: str


class Taken(ChatError):
    def __init__(self) -> None:
        words = _("No account could be made with this email. If you have one here already, sign in with it.")
        super().__init__("taken", words)


def invitable(viewer: User) -> list[Role]:
    """The roles that an invitation of the viewer may give: nobody becomes an owner by a link."""
    return [role for role in grantable(viewer) if role != Role.OWNER]


def invitations(viewer: User) -> QuerySet[Invitation]:
    """All, the newest first, to whoever looks after the team."""
    found = Invitation.objects.select_related("made_by", "group").prefetch_related("arrivals__person")
    return found.order_by("-created_at") if may_manage(viewer) else found.none()


def make(viewer: User, *, role: str, days: int, max_uses: int, note: str = "", group: Group | None = None) -> Made:
    """Raises NotFound, Invalid."""
    if not may_manage(viewer):
        raise NotFound
    if role not in invitable(viewer):
        raise Invalid("role", _("You cannot give this role."))
    _check("days", days, MAX_DAYS)
    _check("max_uses", max_uses, MAX_USES)
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        token_hash=_hash(token),
        note=" ".join(note.replace("\0", "").split())[:MAX_NOTE],
        role=role,
        group=group,
        made_by=viewer,
        max_uses=max_uses,
        expires_at=timezone.now() + timedelta(days=days),
    )
    logger.info("invitation %s made role=%s uses=%d days=%d by=%s", invitation.pk, role, max_uses, days, viewer.pk)
    return Made(invitation, token)


def revoke(viewer: User, invitation_id: UUID) -> None:
    """Safe to repeat. Raises NotFound."""
    if not invitations(viewer).filter(pk=invitation_id).exists():
        raise NotFound
    Invitation.objects.filter(pk=invitation_id, revoked_at=None).update(revoked_at=Now())
    logger.info("invitation %s revoked by=%s", invitation_id, viewer.pk)


def working() -> QuerySet[Invitation]:
    return Invitation.objects.filter(
        revoked_at=None,
        expires_at__gt=Now(),
        num_uses__lt=F("max_uses"),
        made_by__is_active=True,
        made_by__role__in=KEEPERS,
    )


def find(token: str) -> Invitation | None:
    """The invitation that this link stands for, if it works."""
    return working().select_related("made_by", "group").filter(token_hash=_hash(token)).first()


def join(token: str, name: str, email: str, password: str) -> User:
    """Makes the account. Of two people at the last use of a link one gets it. Raises NotFound, Taken."""
    hashed = make_password(password)  # slow on purpose, so outside the transaction
    with transaction.atomic():
        opened = working().select_for_update(of=("self",)).select_related("group")
        invitation = opened.filter(token_hash=_hash(token)).first()
        if invitation is None:
            raise NotFound
        invitation.num_uses += 1
        invitation.save(update_fields=["num_uses"])
        person = User(email=User.objects.normalize_email(email), name=name, role=invitation.role, password=hashed)
        is_new = _add(person, invitation)
    logger.info("invitation %s used person=%s", invitation.pk, person.pk if is_new else "taken")
    if not is_new:
        raise Taken
    return person


def _add(person: User, invitation: Invitation) -> bool:
    """False where the address has an account; inside a transaction, which keeps the use."""
    try:
        with transaction.atomic():
            person.save(force_insert=True)
    except IntegrityError:  # user_email_once
        return False
    Arrival.objects.create(invitation=invitation, person=person)
    if invitation.group is not None:
        invitation.group.members.add(person)
    return True


def _check(field: str, value: int, limit: int) -> None:
    if not 1 <= value <= limit:
        raise Invalid(field, _("This must be from 1 to %(limit)s.") % {"limit": limit})


def _hash(token: str) -> str:
    # The token has 256 random bits: nothing to guess, so a slow hash would add nothing.
    return hashlib.sha256(token.encode()).hexdigest()
