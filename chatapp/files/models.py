"""Which message carries which file or collection, and which collection holds which file."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from chatapp.accounts.grants import TeamGrant, one_principal


class Attachment(models.Model):
    """A file in its place among those of a message; `upload` is null once the file was deleted, its name stays."""

    message = models.ForeignKey("conversations.Message", on_delete=models.CASCADE, related_name="attachments")
    upload = models.ForeignKey("uploads.Upload", on_delete=models.SET_NULL, null=True, related_name="attachments")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=255)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["message", "position"], name="attachment_place"),)
        ordering = ("position",)


class Collection(models.Model):
    """Files kept for reuse in any chat."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="collections")
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.id)


class CollectionFile(models.Model):
    """A file in a collection, from its announcement on; it counts towards the quota of whoever has uploaded it."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="files")
    upload = models.ForeignKey("uploads.Upload", on_delete=models.CASCADE, related_name="collected")
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    added_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["collection", "upload"], name="collection_file_once"),)
        ordering = ("added_at", "id")


class CollectionGrant(TeamGrant):
    """One right on one collection."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        constraints = (
            one_principal("collection_grant_one_principal"),
            models.UniqueConstraint(
                fields=["collection", "user", "group", "everyone"], nulls_distinct=False, name="collection_grant_once"
            ),
        )


class MessageCollection(models.Model):
    """A collection that a question asks; `collection` is null once it was deleted, its name stays."""

    message = models.ForeignKey("conversations.Message", on_delete=models.CASCADE, related_name="collections")
    collection = models.ForeignKey(Collection, on_delete=models.SET_NULL, null=True, related_name="messages")
    name = models.CharField(max_length=100)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["message", "collection"], name="message_collection_once"),)
        ordering = ("id",)
