"""An archive of all that a person owns, from its request to its end."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Archive(models.Model):
    """Ends exactly once in ready or failed, and is removed a week later. Its bytes lie in storage "exports"."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="archives")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    done = models.PositiveIntegerField(default=0)  # of `total` chats and files
    total = models.PositiveIntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)  # the fence: a worker writes only under the number it was given
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["owner"], condition=models.Q(state__in=["queued", "running"]), name="archive_one_open"
            ),
        )

    @property
    def key(self) -> str:
        return f"{self.pk}.zip"
