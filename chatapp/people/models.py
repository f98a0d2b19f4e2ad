"""Invitations, and who came by which."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from chatapp.accounts.models import Role


class Invitation(models.Model):
    """A link that makes accounts. Only the hash of its token is kept: the link is shown once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    token_hash = models.CharField(max_length=64, unique=True)
    note = models.CharField(max_length=100, blank=True, default="")  # for whom it is
    role = models.CharField(max_length=10, choices=Role.choices)
    group = models.ForeignKey("accounts.Group", on_delete=models.SET_NULL, null=True, blank=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    max_uses = models.PositiveIntegerField()
    num_uses = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(num_uses__lte=models.F("max_uses")), name="invitation_used_within_limit"
            ),
            models.CheckConstraint(condition=~models.Q(role="owner"), name="invitation_makes_no_owner"),
        )


class Arrival(models.Model):
    """Somebody who came by an invitation."""

    invitation = models.ForeignKey(Invitation, on_delete=models.CASCADE, related_name="arrivals")
    person = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="arrival")
    came_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("came_at",)
