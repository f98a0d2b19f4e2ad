"""A folder, what its chats are asked with, and the grants on it."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from chatapp.accounts.grants import TeamGrant, one_principal


class Folder(models.Model):
    """Which chats are in it stands with the chats: a folder opens none of them to anybody."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="folders")
    name = models.CharField(max_length=100)
    instructions = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name", "created_at")

    def __str__(self) -> str:
        return str(self.id)


class FolderGrant(TeamGrant):
    """One right on one folder."""

    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        constraints = (
            one_principal("folder_grant_one_principal"),
            models.UniqueConstraint(
                fields=["folder", "user", "group", "everyone"], nulls_distinct=False, name="folder_grant_once"
            ),
        )


class FolderCollection(models.Model):
    """A collection that every question in the folder asks, with the rights of whoever asks."""

    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="collections")
    collection = models.ForeignKey("files.Collection", on_delete=models.CASCADE, related_name="folders")
    added_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["folder", "collection"], name="folder_collection_once"),)
        ordering = ("added_at", "id")
