"""What a right of the team looks like: a principal and how much. Each kind of thing has a table of its own."""

from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Exists, Q, QuerySet

from chatapp.accounts.models import Role, User
from chatapp.errors import NotFound


class Access(models.TextChoices):
    READ = "read"
    WRITE = "write"  # includes read


class TeamGrant(models.Model):
    """One right, for exactly one of a person, a group, or everyone of the team."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True)
    group = models.ForeignKey("accounts.Group", on_delete=models.CASCADE, null=True, blank=True)
    everyone = models.BooleanField(default=False)
    access = models.CharField(max_length=5, choices=Access.choices)

    class Meta:
        abstract = True


G = TypeVar("G", bound=TeamGrant)
M = TypeVar("M", bound=models.Model)


def granted(grants: QuerySet[G], viewer: User, access: Access) -> QuerySet[G]:
    """Those of the grants that give the viewer so much. Guests are not of the team: `everyone` leaves them out."""
    principal = Q(user=viewer) | Q(group__in=viewer.teams.all())
    if viewer.role != Role.GUEST:
        principal |= Q(everyone=True)
    enough = [Access.WRITE] if access == Access.WRITE else [Access.READ, Access.WRITE]
    return grants.filter(principal, access__in=enough)


def open_to(things: QuerySet[M], grants: QuerySet[G], viewer: User, access: Access) -> QuerySet[M]:
    """Those of the things that the viewer owns, or that `grants`, tied to each by an OuterRef, give them so far.

    Inactive people have no rights at all.
    """
    if not viewer.is_active:
        return things.none()
    return things.filter(Q(owner=viewer) | Exists(granted(grants, viewer, access)))


def one(found: QuerySet[M], pk: UUID) -> M:
    """Of those that somebody may see. Raises NotFound: what is not theirs is not there."""
    thing = found.filter(pk=pk).first()
    if thing is None:
        raise NotFound
    return thing


def one_principal(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(condition=one_principal_of("user", "group"), name=name)


def one_principal_of(*columns: str) -> Q:
    """Exactly one of these is set, or `everyone` is true."""
    nobody = {f"{column}__isnull": True for column in columns}
    condition = Q(**nobody, everyone=True)
    for column in reversed(columns):
        condition = Q(**{**nobody, f"{column}__isnull": False}, everyone=False) | condition
    return condition
