"""A conversation, its tree of messages, and the grants on it."""

import uuid

from django.conf import settings
from django.db import models

from chatapp.accounts.grants import TeamGrant, one_principal


class Conversation(models.Model):
    class TitleSource(models.TextChoices):
        NONE = "none"
        QUESTION = "question"  # the first words of the question
        MODEL = "model"
        PERSON = "person"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations")
    title = models.CharField(max_length=200, blank=True, default="")
    title_source = models.CharField(max_length=10, choices=TitleSource.choices, default=TitleSource.NONE)
    active_leaf = models.ForeignKey("Message", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(db_default=models.functions.Now())
    deleted_at = models.DateTimeField(null=True, blank=True)
    folder = models.ForeignKey(
        "folders.Folder", on_delete=models.SET_NULL, null=True, blank=True, related_name="conversations"
    )
    # Not listed, not found, without a title of its own; gone for good at `expires_at`, which only such ones have.
    is_temporary = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(is_temporary=False, expires_at__isnull=True)
                | models.Q(is_temporary=True, expires_at__isnull=False),
                name="conversation_temporary_expires",
            ),
        )
        indexes = (models.Index(fields=["owner", "-updated_at"], name="conversation_list"),)

    def __str__(self) -> str:
        return str(self.id)


class Grant(TeamGrant):
    """One right on one conversation."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        constraints = (
            one_principal("grant_one_principal"),
            models.UniqueConstraint(
                fields=["conversation", "user", "group", "everyone"], nulls_distinct=False, name="grant_once"
            ),
        )


class Message(models.Model):
    """A node of the tree. People's text is never changed: an edit is a sibling."""

    class Role(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="children")
    role = models.CharField(max_length=10, choices=Role.choices)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    text = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=models.functions.Now())

    class Meta:
        indexes = (models.Index(fields=["conversation", "created_at"], name="message_in_order"),)
