"""Writes to endpoints. Each is one transaction."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from chatapp.context.counting import learned_ratio
from chatapp.endpoints.dialects import Continuation, Key, Target
from chatapp.endpoints.models import Endpoint
from chatapp.endpoints.probe import ProbeReport
from chatapp.endpoints.secrets import decrypt_key, encrypt_key

LOCAL_NAME = "SmolLM2 135M (sparse mixture of experts)"
# Stored in English; the chat page says it in the person's language.
LOCAL_NOTE = gettext_noop("A small demonstration model, English only. Connect a larger one in Settings.")
LOCAL_CONTEXT = 8192
LOCAL_MAX_OUTPUT = 1024  # so small a model rarely has more to say, and loops when it tries


@dataclass(frozen=True, slots=True)
class EndpointFields:
    """What an owner may set. `api_key` None keeps the stored key."""

    name: str
    base_url: str
    model: str
    api_key: str | None = None
    note: str = ""
    context_length: int = 8192
    max_output_tokens: int = 2048
    price_cache_hit: Decimal = Decimal(0)
    price_cache_miss: Decimal = Decimal(0)
    price_output: Decimal = Decimal(0)
    dense_price_cache_hit: Decimal | None = None
    dense_price_cache_miss: Decimal | None = None
    dense_price_output: Decimal | None = None
    continuation: str = Endpoint.Continuation.NONE
    thinking: str = Endpoint.Thinking.NEVER
    vision: bool = False
    tools: bool = False
    takes_seed: bool = True
    tokenizer_path: str = ""
    is_enabled: bool = True


def target_of(endpoint: Endpoint) -> Target:
    """The endpoint as the HTTP client sees it. Raises KeyUnreadable."""
    if endpoint.is_local:
        key = settings.CONFIG.inference_key
    else:
        key = decrypt_key(bytes(endpoint.api_key_encrypted))
    return Target(
        base_url=endpoint.base_url.rstrip("/"),
        model=endpoint.model,
        api_key=Key(key),
        continuation=cast(Continuation, endpoint.continuation),
        takes_seed=endpoint.takes_seed,
        takes_token_ids=endpoint.takes_token_ids,
        switches_thinking=endpoint.thinking == Endpoint.Thinking.SWITCHED,
    )


@transaction.atomic
def save_endpoint(fields: EndpointFields, endpoint_id: UUID | None = None) -> Endpoint:
    """A new endpoint, or changes to one; the first enabled one becomes the default.

    The local one keeps its URL, key and model: they come from the configuration. Raises ValueError.
    """
    _check(fields)
    endpoint = Endpoint() if endpoint_id is None else Endpoint.objects.select_for_update().get(id=endpoint_id)
    fixed = {"base_url", "model"} if endpoint.is_local else set()
    for name in EndpointFields.__dataclass_fields__:
        if name != "api_key" and name not in fixed:
            setattr(endpoint, name, getattr(fields, name))
    if fields.api_key is not None and not endpoint.is_local:
        endpoint.api_key_encrypted = encrypt_key(fields.api_key)
    if endpoint.is_enabled and not Endpoint.objects.filter(is_default=True).exists():
        endpoint.is_default = True
    endpoint.save()
    return endpoint


def _check(fields: EndpointFields) -> None:
    if not fields.base_url.startswith(("http://", "https://")):
        raise ValueError(f"base_url={fields.base_url!r} must start with http:// or https://")
    if not 256 <= fields.context_length <= 10_000_000:
        raise ValueError(f"context_length={fields.context_length} must be from 256 to 10000000 tokens")
    if not 1 <= fields.max_output_tokens < fields.context_length:
        raise ValueError(f"max_output_tokens={fields.max_output_tokens} must be from 1 to below the context length")


@transaction.atomic
def set_default(endpoint_id: UUID) -> None:
    """Raises Endpoint.DoesNotExist for one that is missing or disabled."""
    endpoint = Endpoint.objects.select_for_update().get(id=endpoint_id, is_enabled=True)
    Endpoint.objects.filter(is_default=True).exclude(id=endpoint.id).update(is_default=False)
    Endpoint.objects.filter(id=endpoint.id).update(is_default=True)


@transaction.atomic
def delete_endpoint(endpoint_id: UUID) -> None:
    """Its answers stay. The local worker's row cannot be deleted (disable it); the default passes to another."""
    endpoint = Endpoint.objects.select_for_update().get(id=endpoint_id)
    if endpoint.is_local:
        raise ValueError("the local endpoint cannot be deleted, only disabled")
    endpoint.delete()
    if endpoint.is_default:
        heir = Endpoint.objects.filter(is_enabled=True).order_by("-is_local", "name").first()
        if heir is not None:
            Endpoint.objects.filter(id=heir.id).update(is_default=True)


@transaction.atomic
def store_probe(endpoint_id: UUID, report: ProbeReport) -> None:
    """Keeps the report for the page, and of the facts those that the probe could establish."""
    endpoint = Endpoint.objects.filter(id=endpoint_id)
    endpoint.update(probed_at=Now(), probe_report=report.to_json())
    endpoint.filter(is_local=False).update(**report.established())  # our own worker's facts come with it


def learn_characters_per_token(endpoint_id: UUID, characters: int, tokens: int) -> None:
    """One reported usage moves the learned ratio a little. A lost race between two answers loses one lesson."""
    endpoint = Endpoint.objects.filter(id=endpoint_id, tokenizer_path="").first()
    if endpoint is not None and tokens > 0:
        ratio = learned_ratio(endpoint.characters_per_token, characters, tokens)
        Endpoint.objects.filter(id=endpoint_id).update(characters_per_token=ratio)


@transaction.atomic
def ensure_local_endpoint() -> Endpoint:
    """The row of this installation's own worker, brought up to date with the configuration. Safe to run twice."""
    config = settings.CONFIG
    technical = {
        "base_url": config.inference_url,
        "model": config.model_dir.name,
        "continuation": Endpoint.Continuation.PREFIX_TRUE,
        "takes_seed": True,
        "takes_token_ids": True,
        "tokenizer_path": _tokenizer_of(config.model_dir),
    }
    first = {
        "name": LOCAL_NAME,
        "note": LOCAL_NOTE,
        "context_length": LOCAL_CONTEXT,
        "max_output_tokens": LOCAL_MAX_OUTPUT,
        "is_default": not Endpoint.objects.filter(is_default=True).exists(),
    }
    endpoint, _ = Endpoint.objects.update_or_create(
        is_local=True, defaults=technical, create_defaults={**first, **technical}
    )
    return endpoint


def _tokenizer_of(model_dir: Path) -> str:
    return str(model_dir / "tokenizer.json")
