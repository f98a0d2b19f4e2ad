"""One attempt at an assistant message: the unit of "every accepted question ends exactly once"."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models


class Status(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (Status.FINISHED, Status.FAILED, Status.CANCELLED)


class Answer(models.Model):
    """Lease and fence are on database time; a snapshot is (text of the message, reasoning, token ids, seq, epoch)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.ForeignKey("conversations.Message", on_delete=models.CASCADE, related_name="answers")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    client_id = models.UUIDField()
    created_at = models.DateTimeField(db_default=models.functions.Now())

    # The request, set by the service.
    endpoint = models.ForeignKey("endpoints.Endpoint", on_delete=models.SET_NULL, null=True)
    thinking = models.BooleanField(default=False)
    search = models.BooleanField(default=False)
    deep = models.BooleanField(default=False)  # the model searches by itself, as often as it needs
    preset = models.ForeignKey("presets.Preset", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    read_all = models.BooleanField(default=False)  # files too long for the context: every part of them, one by one
    seed = models.BigIntegerField()
    prefix_length = models.PositiveIntegerField(default=0)  # UTF-16 units of the message that an earlier attempt wrote
    replay_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="replays")
    request = models.JSONField(
        default=dict, blank=True
    )  # parts by message id and hash, parameters: what replay repeats

    # The claim, set by the runner.
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    fence = models.PositiveIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)

    # The snapshot, every 2 s while running.
    reasoning = models.TextField(blank=True, default="")
    token_ids = ArrayField(models.IntegerField(), default=list, blank=True)
    snapshot_epoch = models.CharField(max_length=32, blank=True, default="")
    snapshot_seq = models.BigIntegerField(default=0)

    # The end.
    ended_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True, default="")
    error_detail = models.CharField(max_length=500, blank=True, default="")  # for people; never message text or keys
    finish_reason = models.CharField(max_length=30, blank=True, default="")
    model_name = models.CharField(max_length=200, blank=True, default="")
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    cached_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    usage_estimated = models.BooleanField(default=False)
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    thinking_ms = models.PositiveIntegerField(null=True, blank=True)
    generation_ms = models.PositiveIntegerField(null=True, blank=True)
    replay_equal = models.BooleanField(null=True, blank=True)

    # Events that a crash between commit and log may have lost; the sweep emits them again.
    queued_event_at = models.DateTimeField(null=True, blank=True)
    ended_event_at = models.DateTimeField(null=True, blank=True)
    notices = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["asked_by", "client_id"], name="answer_sent_once"),
            # Two attempts at one message never run at the same time.
            models.UniqueConstraint(
                fields=["message"], condition=models.Q(status__in=["queued", "running"]), name="answer_one_open"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=["queued", "running"], ended_at__isnull=True)
                | models.Q(status__in=["finished", "failed", "cancelled"], ended_at__isnull=False),
                name="answer_ended_has_time",
            ),
        )
        indexes = (
            models.Index(
                fields=["created_at"], condition=models.Q(status__in=["queued", "running"]), name="answer_open"
            ),
            models.Index(
                fields=["ended_at"], condition=models.Q(ended_event_at__isnull=True), name="answer_unannounced"
            ),
        )
