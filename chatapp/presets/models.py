"""A preset, the collections that it asks, and the grants on it."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from chatapp.accounts.grants import TeamGrant, one_principal


class Preset(models.Model):
    """Empty parameters are the endpoint's own; without an endpoint the composer's choice stays."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="presets")
    name = models.CharField(max_length=100)
    system_prompt = models.TextField(blank=True, default="")
    endpoint = models.ForeignKey("endpoints.Endpoint", on_delete=models.SET_NULL, null=True, blank=True)
    temperature = models.FloatField(null=True, blank=True)
    max_tokens = models.PositiveIntegerField(null=True, blank=True)
    thinking = models.BooleanField(default=False)
    search = models.BooleanField(default=False)
    deep = models.BooleanField(default=False)
    collections = models.ManyToManyField("files.Collection", related_name="presets", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name", "created_at")

    def __str__(self) -> str:
        return str(self.id)


class PresetGrant(TeamGrant):
    """One right on one preset."""

    preset = models.ForeignKey(Preset, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        constraints = (
            one_principal("preset_grant_one_principal"),
            models.UniqueConstraint(
                fields=["preset", "user", "group", "everyone"], nulls_distinct=False, name="preset_grant_once"
            ),
        )
