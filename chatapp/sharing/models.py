"""Public links."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class PublicLink(models.Model):
    """A conversation as it was when the link was made, for whoever has it. Only the hash of its token is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    token_hash = models.CharField(max_length=64, unique=True)
    conversation = models.ForeignKey("conversations.Conversation", on_delete=models.CASCADE, related_name="links")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    title = models.CharField(max_length=200, blank=True, default="")
    messages = models.JSONField()  # [{"role", "text"}]: nobody's name, no file, no thought
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at",)
