"""Keys of programs: made and shown once, found by their hash, ended. Who has ended one has ended what it asks for."""

import hashlib
import logging
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import Role, User
from chatapp.endpoints.models import Endpoint
from chatapp.errors import ChatError, NotFound
from chatapp.people.rights import may_manage, may_touch
from chatapp.programs.calling import cancel_of_keys
from chatapp.programs.models import Ability, ApiKey
from chatapp.usage.models import Quota

logger = logging.getLogger(__name__)

BEGINNING = "sk-sonde-"  # so that those who look for secrets in repositories know it for one
NUM_SHOWN = len(BEGINNING) + 6  # characters that a key is known by
MOST = 100  # that work, of one person
USED_EVERY = timedelta(minutes=1)  # a write a minute, not a request


@dataclass(frozen=True, slots=True)
class Made:
    """`secret` is told here and never again."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What a key may do. `endpoint_ids` None: every model. `limits` are those of chatapp.usage.models.Quota."""

    abilities: Collection[str] = tuple(Ability)
    endpoint_ids: Collection[UUID] | None = None
    expires_at: datetime | None = None
    limits: dict[str, Any] = field(default_factory=dict)


def may_have_keys(person: User) -> bool:
    """Guests are not of the team, and leave nothing behind that acts for it."""
    return person.is_active and person.role != Role.GUEST


@transaction.atomic
def make(viewer: User, name: str, scope: Scope) -> Made:
    """Raises NotFound, ChatError(too_many)."""
    if not may_have_keys(viewer):
        raise NotFound
    User.objects.select_for_update().get(pk=viewer.pk)
    if working(viewer).count() >= MOST:
        raise ChatError("too_many", _("You have %(limit)s API keys: end one first.") % {"limit": MOST})
    secret = BEGINNING + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        owner=viewer,
        name=name,
        prefix=secret[:NUM_SHOWN],
        key_hash=_hash(secret),
        abilities=[ability.value for ability in Ability if ability in scope.abilities],
        any_model=scope.endpoint_ids is None,
        expires_at=scope.expires_at,
    )
    key.endpoints.set(Endpoint.objects.filter(pk__in=scope.endpoint_ids or ()))
    if any(limit is not None for limit in scope.limits.values()):
        Quota.objects.create(key=key, **scope.limits)
    logger.info("key %s made by=%s", key.pk, viewer.pk)
    return Made(key, secret)


def find(secret: str) -> ApiKey | None:
    """A key that works now, with its owner; says that it was used."""
    key = _working(ApiKey.objects.all()).select_related("owner").filter(key_hash=_hash(secret)).first()
    if key is not None and (key.last_used_at is None or timezone.now() - key.last_used_at > USED_EVERY):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=Now())
    return key


def works(key: ApiKey) -> bool:
    """Asked of the rows, as they are now."""
    return _working(ApiKey.objects.filter(pk=key.pk)).exists()


def working(person: User) -> QuerySet[ApiKey]:
    """Those of this person that open anything."""
    return _working(person.api_keys.all())


def visible(viewer: User) -> QuerySet[ApiKey]:
    """One's own; to who looks after the team all."""
    return ApiKey.objects.all() if may_manage(viewer) else ApiKey.objects.filter(owner=viewer)


def get_held(viewer: User, key_id: UUID) -> ApiKey:
    """One that the viewer may end: their own, or that of somebody whom they look after. Raises NotFound."""
    key = visible(viewer).select_related("owner").filter(pk=key_id).first()
    if key is None or not (key.owner_id == viewer.pk or may_touch(viewer, key.owner)):
        raise NotFound
    return key


@transaction.atomic
def set_limits(viewer: User, key_id: UUID, limits: dict[str, Any]) -> None:
    """Of one's own key, or as a keeper of the team of anybody's. Without any limit the quota ends. Raises NotFound."""
    key = get_held(viewer, key_id)
    if all(limit is None for limit in limits.values()):
        Quota.objects.filter(key=key).delete()
    else:
        Quota.objects.update_or_create(key=key, defaults=limits)
    logger.info("key %s limits set by=%s", key.pk, viewer.pk)


@transaction.atomic
def end(viewer: User, key_id: UUID) -> ApiKey:
    """For good, and what it is asking for right now is called off. Raises NotFound."""
    key = get_held(viewer, key_id)
    _end([key.pk])
    logger.info("key %s ended by=%s", key.pk, viewer.pk)
    return key


@transaction.atomic
def end_all(person_id: UUID) -> None:
    """Of this person, who is suspended, leaves, or wants it so."""
    _end(list(ApiKey.objects.filter(owner=person_id, revoked_at=None).values_list("pk", flat=True)))


def _end(key_ids: Sequence[UUID]) -> None:
    ended = ApiKey.objects.filter(pk__in=key_ids, revoked_at=None).update(revoked_at=Now())
    cancel_of_keys(key_ids)
    if ended:
        logger.info("keys ended=%d", ended)


def _working(keys: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
    return keys.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None, owner__is_active=True).exclude(
        owner__role=Role.GUEST
    )


def _hash(secret: str) -> str:
    # 256 random bits: nothing to guess, so a slow hash would only slow every request.
    return hashlib.sha256(secret.encode()).hexdigest()
