"""Which message carries which file."""

from django.db import models


class Attachment(models.Model):
    """A file in its place among those of a message; `upload` is null once the file was deleted, its name stays."""

    message = models.ForeignKey("conversations.Message", on_delete=models.CASCADE, related_name="attachments")
    upload = models.ForeignKey("uploads.Upload", on_delete=models.SET_NULL, null=True, related_name="attachments")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=255)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["message", "position"], name="attachment_place"),)
        ordering = ("position",)
