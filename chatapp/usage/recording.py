"""Writes of spending: begun before a request goes to a model, ended by what the endpoint reports, or by our count."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Now

from chatapp.endpoints.deltas import Usage
from chatapp.endpoints.models import Endpoint
from chatapp.usage.models import Spending
from chatapp.usage.prices import Prices, Tokens

Kind = Spending.Kind


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what, a program by its key. `answer_id` is that of an answer, or of a call; None: of neither."""

    kind: Kind
    user_id: UUID | None
    endpoint: Endpoint
    answer_id: UUID | None = None
    key_id: UUID | None = None


def begin(asked: Asked, prompt_tokens: int) -> UUID:
    """Before the request goes, by our count: what stays if nobody comes back from it."""
    endpoint = asked.endpoint
    spending = Spending.objects.create(
        kind=asked.kind,
        answer_id=asked.answer_id,
        user_id=asked.user_id,
        key_id=asked.key_id,
        endpoint=endpoint,
        endpoint_name=endpoint.name,
        model=endpoint.model,
        **_columns(endpoint, Tokens(miss=prompt_tokens)),
    )
    return spending.pk


def record_vectors(user_id: UUID, key_id: UUID, model: str, tokens: int, *, is_estimated: bool) -> None:
    """Of texts that a program has had encoded: begun and ended at once. Nobody has told what it costs."""
    Spending.objects.create(
        kind=Kind.VECTOR,
        user_id=user_id,
        key_id=key_id,
        endpoint_name=model[:100],
        model=model[:200],
        ended_at=Now(),
        cache_miss_tokens=tokens,
        is_estimated=is_estimated,
    )


def end(spending_id: UUID, endpoint: Endpoint, usage: Usage | None, output_tokens: int) -> None:
    """`usage` as reported; without it the prompt stays as it was counted, and `output_tokens` is our count.

    Ends it once: a second end changes nothing.
    """
    under_way = Spending.objects.filter(pk=spending_id, ended_at=None)
    if usage is None:
        spending = under_way.first()
        if spending is None:
            return
        tokens = Tokens(spending.cache_hit_tokens, spending.cache_miss_tokens, output_tokens)
    else:
        hit = min(usage.cached_tokens or 0, usage.prompt_tokens)
        tokens = Tokens(hit, usage.prompt_tokens - hit, usage.completion_tokens)
    under_way.update(ended_at=Now(), is_estimated=usage is None, **_columns(endpoint, tokens))


def tokens_of(spending_id: UUID) -> Tokens:
    """As they stand in the row."""
    row = Spending.objects.get(pk=spending_id)
    return Tokens(row.cache_hit_tokens, row.cache_miss_tokens, row.output_tokens)


def forget(spending_id: UUID) -> None:
    """The endpoint has not taken the request: nobody is there, or it refused."""
    Spending.objects.filter(pk=spending_id, ended_at=None).delete()


def end_left_open(answer_id: UUID) -> None:
    """What a runner that is gone had asked for: by its estimate, and without the output that nobody has counted."""
    Spending.objects.filter(answer_id=answer_id, ended_at=None).update(ended_at=F("began_at"))


def prices_of(endpoint: Endpoint) -> Prices:
    return Prices(endpoint.price_cache_hit, endpoint.price_cache_miss, endpoint.price_output)


def dense_prices_of(endpoint: Endpoint) -> Prices | None:
    """What the same would cost with dense attention, where the owner has said it."""
    dense = (endpoint.dense_price_cache_hit, endpoint.dense_price_cache_miss, endpoint.dense_price_output)
    return Prices(*(price or Decimal(0) for price in dense)) if any(price is not None for price in dense) else None


def _columns(endpoint: Endpoint, tokens: Tokens) -> dict[str, Any]:
    prices = prices_of(endpoint)
    dense = dense_prices_of(endpoint) or prices
    return {
        "cache_hit_tokens": tokens.hit,
        "cache_miss_tokens": tokens.miss,
        "output_tokens": tokens.output,
        "cost": prices.cost(tokens),
        "cost_uncached": prices.cost(Tokens(0, tokens.hit + tokens.miss, tokens.output)),
        "cost_dense": dense.cost(tokens),
    }
