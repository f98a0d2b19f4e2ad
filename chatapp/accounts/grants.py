"""What a right of the team looks like: a principal and how much. Each kind of thing has a table of its own."""

from typing import TypeVar

from django.conf import settings
from django.db import models
from django.db.models import Q, QuerySet

from chatapp.accounts.models import Role, User


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


def granted(grants: QuerySet[G], viewer: User, access: Access) -> QuerySet[G]:
    """Those of the grants that give the viewer so much. Guests are not of the team: `everyone` leaves them out."""
    principal = Q(user=viewer) | Q(group__in=viewer.teams.all())
    if viewer.role != Role.GUEST:
        principal |= Q(everyone=True)
    enough = [Access.WRITE] if access == Access.WRITE else [Access.READ, Access.WRITE]
    return grants.filter(principal, access__in=enough)


def one_principal(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(condition=one_principal_of("user", "group"), name=name)


def one_principal_of(*columns: str) -> Q:
    """Exactly one of these is set, or `everyone` is true."""
    nobody = {f"{column}__isnull": True for column in columns}
    condition = Q(**nobody, everyone=True)
    for column in reversed(columns):
        condition = Q(**{**nobody, f"{column}__isnull": False}, everyone=False) | condition
    return condition
