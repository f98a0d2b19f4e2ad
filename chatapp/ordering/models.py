"""How one person keeps a conversation in their list. Nobody else's list changes by it."""

from django.conf import settings
from django.db import models


class Kept(models.Model):
    """Pinned, archived, or neither any more; never both.

    What was archived is back in the list as soon as somebody asks in it: `archived_at` counts only while it is not
    older than the conversation's `updated_at`.
    """

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    conversation = models.ForeignKey("conversations.Conversation", on_delete=models.CASCADE, related_name="kept")
    pinned_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["person", "conversation"], name="kept_once"),
            models.CheckConstraint(
                condition=models.Q(pinned_at__isnull=True) | models.Q(archived_at__isnull=True), name="kept_one_way"
            ),
        )
