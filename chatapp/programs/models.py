"""The key of a program, and its call: one request to a model, without a conversation. Kept only while it runs."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from chatapp.answers.models import Status


class Ability(models.TextChoices):
    """What a key may be used for."""

    CHAT = "chat"  # completions too
    EMBEDDINGS = "embeddings"
    FILES = "files"


class ApiKey(models.Model):
    """Whoever has it acts for its owner, within its scope. Only its hash is kept. Never deleted: usage names it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=20)  # its beginning, to know it by
    key_hash = models.CharField(max_length=64, unique=True)
    abilities = ArrayField(models.CharField(max_length=10, choices=Ability.choices))
    # Two columns, so that a key for one model is not a key for all once that model is deleted.
    any_model = models.BooleanField(default=True)
    endpoints = models.ManyToManyField("endpoints.Endpoint", blank=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.name

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()


class ProgramFile(models.Model):
    """That an upload came from a program, which refers to it in its calls and says when it may go."""

    upload = models.OneToOneField(
        "uploads.Upload", on_delete=models.CASCADE, primary_key=True, related_name="program_file"
    )
    purpose = models.CharField(max_length=40)


class Call(models.Model):
    """One request of a program, and the unit of "ends exactly once". `request` is a chatapp.programs.request.Asking.

    Lease and fence are on database time, as an answer's. Whoever waits for it says so in `watched_at`: a call that
    nobody waits for is called off. Its row goes once its end was told, unless it was asked to be stored.
    """

    class Kind(models.TextChoices):
        CHAT = "chat"
        TEXT = "text"  # a prompt continued

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="calls")
    kind = models.CharField(max_length=4, choices=Kind.choices)
    endpoint = models.ForeignKey("endpoints.Endpoint", on_delete=models.SET_NULL, null=True, related_name="+")
    model_id = models.CharField(max_length=320)  # as the program calls it
    request = models.JSONField()
    is_stored = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    watched_at = models.DateTimeField(db_default=Now())

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    fence = models.PositiveIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    is_sent = models.BooleanField(default=False)  # the endpoint may have begun to work on it

    ended_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True, default="")
    error_detail = models.CharField(max_length=500, blank=True, default="")
    retry_after_s = models.PositiveIntegerField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)  # a chatapp.programs.result.Result

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], ended_at__isnull=True)
                | Q(status__in=["finished", "failed", "cancelled"], ended_at__isnull=False),
                name="call_ended_has_time",
            ),
        )
        indexes = (
            models.Index(fields=["created_at"], condition=Q(status__in=["queued", "running"]), name="call_open"),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="call_ended"),
        )
