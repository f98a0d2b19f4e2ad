"""A model endpoint: an OpenAI-compatible URL and what is known of it."""

import uuid

from django.db import models


class Endpoint(models.Model):
    class Continuation(models.TextChoices):
        """How a cut answer can be continued without a seam; probed by the test button."""

        NONE = "none"
        PREFIX_TRUE = "prefix_true"
        CONTINUE_FINAL_MESSAGE = "continue_final_message"

    class Thinking(models.TextChoices):
        NEVER = "never"
        SWITCHED = "switched"  # on and off by `thinking`/chat template argument
        ALWAYS = "always"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    note = models.CharField(max_length=200, blank=True, default="")  # said plainly under the name
    base_url = models.URLField(max_length=500)
    api_key_encrypted = models.BinaryField(blank=True, default=b"")
    model = models.CharField(max_length=200)
    context_length = models.PositiveIntegerField(default=8192)  # tokens
    max_output_tokens = models.PositiveIntegerField(default=2048)
    price_cache_hit = models.DecimalField(max_digits=10, decimal_places=4, default=0)  # USD per million tokens
    price_cache_miss = models.DecimalField(max_digits=10, decimal_places=4, default=0)
    price_output = models.DecimalField(max_digits=10, decimal_places=4, default=0)
    # What the same model costs with dense attention, to tell the saving; None where nobody has said it.
    dense_price_cache_hit = models.DecimalField(max_digits=10, decimal_places=4, null=True, blank=True)
    dense_price_cache_miss = models.DecimalField(max_digits=10, decimal_places=4, null=True, blank=True)
    dense_price_output = models.DecimalField(max_digits=10, decimal_places=4, null=True, blank=True)
    continuation = models.CharField(max_length=30, choices=Continuation.choices, default=Continuation.NONE)
    vision = models.BooleanField(default=False)
    tools = models.BooleanField(default=False)  # it calls functions, and knows what to do with what they give
    thinking = models.CharField(max_length=10, choices=Thinking.choices, default=Thinking.NEVER)
    takes_seed = models.BooleanField(default=True)
    takes_token_ids = models.BooleanField(
        default=False
    )  # our own worker: deltas carry ids, continuation sends them back
    tokenizer_path = models.CharField(max_length=500, blank=True, default="")  # a tokenizer.json; empty: learn a ratio
    characters_per_token = models.FloatField(default=3.0)  # learned from reported usage
    is_local = models.BooleanField(
        default=False
    )  # the worker of this installation: URL and key come from the configuration
    is_default = models.BooleanField(default=False)
    is_enabled = models.BooleanField(default=True)
    probed_at = models.DateTimeField(null=True, blank=True)
    probe_report = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="endpoint_one_default"
            ),
            models.UniqueConstraint(fields=["is_local"], condition=models.Q(is_local=True), name="endpoint_one_local"),
        )

    def __str__(self) -> str:
        return self.name
