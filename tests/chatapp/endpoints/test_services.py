"""Writes to endpoints, and their keys at rest."""

from dataclasses import replace
from pathlib import Path

import pytest
from django.test import override_settings

from chatapp.endpoints import services
from chatapp.endpoints.models import Endpoint
from chatapp.endpoints.probe import ProbeLine, ProbeReport
from chatapp.endpoints.secrets import KeyUnreadable, decrypt_key, encrypt_key

pytestmark = pytest.mark.django_db
FIELDS = services.EndpointFields("DeepSeek", "https://api.example.org/v1/", "chat", api_key="sk-secret")


def test_a_key_is_encrypted_and_kept_when_left_empty() -> None:
    endpoint = services.save_endpoint(FIELDS)
    assert b"sk-secret" not in bytes(endpoint.api_key_encrypted)
    services.save_endpoint(replace(FIELDS, api_key=None, model="reasoner"), endpoint.id)
    endpoint.refresh_from_db()
    target = services.target_of(endpoint)
    assert (target.api_key.value, target.model, target.base_url) == (
        "sk-secret",
        "reasoner",
        "https://api.example.org/v1",
    )


def test_a_key_under_another_secret_is_a_clear_error() -> None:
    stored = encrypt_key("sk-secret")
    with override_settings(SECRET_KEY="another"), pytest.raises(KeyUnreadable):
        decrypt_key(stored)
    with pytest.raises(KeyUnreadable):
        decrypt_key(b"not a token")
    assert decrypt_key(stored) == "sk-secret" and decrypt_key(encrypt_key("")) == ""


def test_the_first_becomes_the_default_and_passes_it_on() -> None:
    first = services.save_endpoint(FIELDS)
    second = services.save_endpoint(replace(FIELDS, name="Other"))
    assert first.is_default and not second.is_default
    services.set_default(second.id)
    assert list(Endpoint.objects.filter(is_default=True)) == [second]
    services.delete_endpoint(second.id)
    assert list(Endpoint.objects.filter(is_default=True)) == [first]


@pytest.mark.parametrize(
    "bad", [{"base_url": "ftp://x"}, {"context_length": 1}, {"max_output_tokens": 8192}, {"max_output_tokens": 0}]
)
def test_values_out_of_range_are_named(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        services.save_endpoint(replace(FIELDS, **bad))  # type: ignore[arg-type]


def test_the_local_endpoint_follows_the_configuration(settings: object) -> None:
    local = services.ensure_local_endpoint()
    assert local.is_default and local.takes_token_ids and local.continuation == "prefix_true"
    Endpoint.objects.filter(pk=local.pk).update(name="Ours", base_url="http://old", model="old", context_length=4096)
    again = services.ensure_local_endpoint()
    assert (again.pk, again.name, again.context_length) == (local.pk, "Ours", 4096)
    assert again.base_url != "http://old" and again.model == Path(again.tokenizer_path).parent.name
    with pytest.raises(ValueError, match="local"):
        services.delete_endpoint(local.pk)


def test_a_second_local_endpoint_is_not_made_default() -> None:
    mine = services.save_endpoint(FIELDS)
    services.ensure_local_endpoint()
    assert list(Endpoint.objects.filter(is_default=True)) == [mine]


def test_a_probe_is_kept_with_what_it_established() -> None:
    endpoint, local = services.save_endpoint(FIELDS), services.ensure_local_endpoint()
    report = ProbeReport(True, (ProbeLine("seed", "no"),), {"takes_seed": False, "continuation": "none", "tools": True})
    for each in (endpoint, local):
        services.store_probe(each.pk, report)
        each.refresh_from_db()
        assert each.probe_report["lines"] == [{"check": "seed", "outcome": "no", "detail": ""}] and each.probed_at
    assert not endpoint.takes_seed and local.takes_seed and local.continuation == "prefix_true"
    assert endpoint.tools and not local.tools
