"""One row a request to a model, kept whatever becomes of its chat, person or endpoint; and the quotas on them."""

import uuid
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from chatapp.accounts.grants import one_principal_of


def _money() -> "models.DecimalField[Decimal, Decimal]":
    """USD, exact: prices have four decimals a million tokens."""
    return models.DecimalField(max_digits=20, decimal_places=10, default=0)


class Spending(models.Model):
    """One request to a model and what it took. Tokens are the endpoint's own count, or ours: then `is_estimated`.

    It is written before the request goes, with the prompt as we count it, so that a crash leaves a trace; `ended_at`
    None means that it is under way, or that nobody lived to write its end.
    """

    class Kind(models.TextChoices):
        ANSWER = "answer"
        ASIDE = "aside"  # for an answer, and not shown: notes of long files, queries of a search
        TITLE = "title"
        CALL = "call"  # of a program
        VECTOR = "vector"  # embeddings for a program

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=6, choices=Kind.choices)
    answer_id = models.UUIDField(null=True)  # or of a call; no foreign key: it may be deleted
    # Not held by the database: who deletes a person or an endpoint must not fail on a request that begins just then.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", db_constraint=False
    )
    # Of a program's call: `user` is whose key it is.
    key = models.ForeignKey(
        "programs.ApiKey", on_delete=models.SET_NULL, null=True, related_name="+", db_constraint=False
    )
    endpoint = models.ForeignKey(
        "endpoints.Endpoint", on_delete=models.SET_NULL, null=True, related_name="+", db_constraint=False
    )
    endpoint_name = models.CharField(max_length=100)
    model = models.CharField(max_length=200)
    began_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    cache_hit_tokens = models.PositiveIntegerField(default=0)  # of the prompt, read from the model's prefix cache
    cache_miss_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    is_estimated = models.BooleanField(default=True)
    cost = _money()
    cost_uncached = _money()  # had nothing been in the cache
    cost_dense = _money()  # by the endpoint's prices of dense attention, where it has them; else the cost

    class Meta:
        indexes = (
            models.Index(fields=["began_at"], name="spending_when"),
            models.Index(fields=["user", "began_at"], name="spending_whose"),
            models.Index(fields=["key", "began_at"], name="spending_by_key", condition=Q(key__isnull=False)),
            models.Index(fields=["answer_id"], name="spending_answer", condition=Q(ended_at=None)),
        )


class Quota(models.Model):
    """The most that may be spent: by one person, by each person who has no quota of their own, by a group together, or
    by one key of a program.

    None is without limit. Days and months are those of UTC.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="quota")
    group = models.OneToOneField("accounts.Group", on_delete=models.CASCADE, null=True, related_name="quota")
    everyone = models.BooleanField(default=False)
    key = models.OneToOneField("programs.ApiKey", on_delete=models.CASCADE, null=True, related_name="quota")
    tokens_a_day = models.PositiveBigIntegerField(null=True, blank=True)
    tokens_a_month = models.PositiveBigIntegerField(null=True, blank=True)
    money_a_day = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)
    money_a_month = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=one_principal_of("user", "group", "key"), name="quota_one_principal"),
            models.UniqueConstraint(fields=["everyone"], condition=Q(everyone=True), name="quota_one_for_each"),
        )
