"""An import from its request to its end, and which chats came by it."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Import(models.Model):
    """Ends exactly once in done or failed. Its file is an upload of the owner's, which is removed at the end."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="imports")
    upload = models.ForeignKey("uploads.Upload", on_delete=models.SET_NULL, null=True, related_name="+")
    name = models.CharField(max_length=255)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    source = models.CharField(max_length=20, blank=True, default="")
    error_code = models.CharField(max_length=20, blank=True, default="")
    read = models.PositiveIntegerField(default=0)  # items, of which
    skipped = models.PositiveIntegerField(default=0)  # had been there already
    failed = models.PositiveIntegerField(default=0)
    errors = models.JSONField(default=list)  # [{"item", "title", "code"}], the first hundred
    tries = models.PositiveSmallIntegerField(default=0)  # the fence
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-created_at",)


class ImportedChat(models.Model):
    """One chat of one person is imported once, by what was said in it; again when it was deleted for good."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)
    conversation = models.OneToOneField("conversations.Conversation", on_delete=models.CASCADE, related_name="+")
    came_by = models.ForeignKey(Import, on_delete=models.SET_NULL, null=True, related_name="chats")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["owner", "digest"], name="imported_chat_once"),)
