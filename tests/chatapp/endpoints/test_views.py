"""The owner's pages about model endpoints: what is stored, what is never shown, and trying one."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import Celery
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.endpoints import trials
from chatapp.endpoints.models import Endpoint
from chatapp.endpoints.secrets import decrypt_key
from chatapp.endpoints.tasks import try_endpoint
from tests.scripted_endpoint import ScriptedEndpoint
from tests.site_fixtures import signed_in

pytestmark = pytest.mark.django_db
FIELDS = {
    "name": "DeepSeek",
    "note": "For long texts",
    "base_url": "https://api.example.org/v1/",
    "api_key": "sk-very-secret",
    "model": "deepseek-chat",
    "context_length": "131072",
    "max_output_tokens": "8192",
    "price_cache_hit": "0.028",
    "price_cache_miss": "0.28",
    "price_output": "0.42",
    "continuation": "prefix_true",
    "thinking": "switched",
    "tools": "on",
    "takes_seed": "on",
    "tokenizer_path": "",
    "is_enabled": "on",
}


@pytest.fixture
def scripted() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as served:
        yield served


@pytest.fixture
def client(owner: User) -> Client:
    return signed_in(owner)


def save(client: Client, url: str = "/settings/endpoints/new", **changes: str) -> HttpResponse:
    return client.post(url, FIELDS | changes)


def test_saved_endpoint_has_what_was_typed(client: Client) -> None:
    assert save(client).status_code == 302
    endpoint = Endpoint.objects.get()
    assert endpoint.base_url == "https://api.example.org/v1"
    assert (endpoint.model, endpoint.context_length, str(endpoint.price_output)) == ("deepseek-chat", 131072, "0.4200")
    assert (endpoint.thinking, endpoint.vision, endpoint.takes_seed) == ("switched", False, True)
    assert endpoint.tools
    assert endpoint.is_default, "the first one"
    assert decrypt_key(endpoint.api_key_encrypted) == "sk-very-secret"


def test_key_is_never_shown_kept_when_left_empty_and_forgotten_when_asked(client: Client) -> None:
    save(client)
    url = f"/settings/endpoints/{Endpoint.objects.get().pk}"
    page = client.get(url).content.decode()
    assert "A key is stored." in page
    assert "secret" not in page
    assert "secret" not in save(client, url, name="", api_key="sk-other-secret").content.decode()
    save(client, url, api_key="", name="Renamed")
    endpoint = Endpoint.objects.get()
    assert (endpoint.name, decrypt_key(endpoint.api_key_encrypted)) == ("Renamed", "sk-very-secret")
    save(client, url, api_key="", forget_key="on")
    assert not Endpoint.objects.get().api_key_encrypted


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "Scripted"),
        ("base_url", "ftp://example.org"),
        ("base_url", "http://"),
        ("base_url", "http://user:password@example.org/v1"),
        ("base_url", "http://example.org:99999/v1"),
        ("base_url", "http://example.org/v1?key=1"),
        ("model", ""),
        ("context_length", "12"),
        ("max_output_tokens", "131072"),
        ("price_output", "-1"),
        ("continuation", "magic"),
    ],
)
def test_unusable_value_is_refused_with_words_at_its_field(
    client: Client, endpoint: Endpoint, field: str, value: str
) -> None:
    response = save(client, **{field: value})
    assert response.status_code == 422
    assert f'id="id_{field}_error"' in response.content.decode()
    assert Endpoint.objects.get() == endpoint


@pytest.mark.parametrize("url", ["http://inference:8301/v1", "http://127.0.0.1:8000/v1", "https://[::1]:8443/v1"])
def test_addresses_of_services_without_a_dot_are_taken(client: Client, url: str) -> None:
    assert save(client, base_url=url).status_code == 302
    assert Endpoint.objects.get().base_url == url


def test_local_endpoint_keeps_what_the_configuration_says(client: Client) -> None:
    local = Endpoint.objects.create(
        name="Local", base_url="http://127.0.0.1:9/v1", model="own", is_local=True, tokenizer_path="/t.json"
    )
    page = client.get(f"/settings/endpoints/{local.pk}").content.decode()
    assert 'name="base_url"' not in page
    save(client, f"/settings/endpoints/{local.pk}", base_url="http://evil.example/v1", model="other")
    local.refresh_from_db()
    assert (local.name, local.base_url, local.model, local.tokenizer_path) == (
        "DeepSeek",
        "http://127.0.0.1:9/v1",
        "own",
        "/t.json",
    )
    assert client.post(f"/settings/endpoints/{local.pk}/delete").status_code == 404


def test_default_moves_and_a_disabled_one_cannot_be_it(client: Client, endpoint: Endpoint) -> None:
    save(client)
    other = Endpoint.objects.get(name="DeepSeek")
    assert client.post(f"/settings/endpoints/{other.pk}/default").status_code == 302
    assert [e.name for e in Endpoint.objects.filter(is_default=True)] == ["DeepSeek"]
    Endpoint.objects.filter(pk=endpoint.pk).update(is_enabled=False)
    assert client.post(f"/settings/endpoints/{endpoint.pk}/default").status_code == 404


def test_deleted_endpoint_is_gone(client: Client, endpoint: Endpoint) -> None:
    page = client.post(f"/settings/endpoints/{endpoint.pk}/delete", follow=True).content.decode()
    assert "“Scripted” is deleted." in page
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize("path", ["", "/try", "/default", "/delete"])
def test_for_a_member_no_endpoint_is_there_in_any_way(member: User, endpoint: Endpoint, path: str) -> None:
    client = signed_in(member)
    assert Endpoint.objects.filter(pk=endpoint.pk).exists()
    for method in (client.get, client.post):
        assert method(f"/settings/endpoints/{endpoint.pk}{path}", FIELDS).status_code == 404
    endpoint.refresh_from_db()
    assert endpoint.name == "Scripted"


def test_unknown_endpoint_is_not_there(client: Client) -> None:
    assert client.get(f"/settings/endpoints/{uuid.uuid4()}").status_code == 404


def test_trial_is_asked_of_a_worker_and_its_report_is_shown(
    client: Client, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(base_url=scripted.base_url, model="prefix")
    url = f"/settings/endpoints/{endpoint.pk}/try"
    assert client.post(url).headers["Location"] == url
    waiting = client.get(url)
    assert waiting.headers["Refresh"] == "2"
    trial = Endpoint.objects.get().probe_report["trial"]
    try_endpoint(str(endpoint.pk), trial)
    done = client.get(url)
    assert "Refresh" not in done.headers
    assert "A question is answered" in done.content.decode()
    endpoint.refresh_from_db()
    assert endpoint.probed_at is not None
    try_endpoint(str(endpoint.pk), trial)
    assert Endpoint.objects.get().probed_at == endpoint.probed_at, "delivered twice, done once"


def test_trial_with_an_unreadable_key_says_so(client: Client, endpoint: Endpoint) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(api_key_encrypted=b"written under another secret key")
    trials.begin_trial(endpoint)
    try_endpoint(str(endpoint.pk), Endpoint.objects.get().probe_report["trial"])
    page = client.get(f"/settings/endpoints/{endpoint.pk}/try").content.decode()
    assert "It does not answer as it should." in page
    assert "enter it again" in page


def test_overtaken_trial_does_nothing(endpoint: Endpoint) -> None:
    try_endpoint(str(endpoint.pk), "an older one")
    try_endpoint(str(uuid.uuid4()), "of a deleted one")
    assert Endpoint.objects.get().probed_at is None


def test_trial_that_nobody_takes_up_ends_with_words(client: Client, endpoint: Endpoint) -> None:
    began_at = timezone.now() - trials.LONGEST - timedelta(seconds=1)
    Endpoint.objects.update(probe_report={"trial": "x", "began_at": began_at.isoformat()})
    response = client.get(f"/settings/endpoints/{endpoint.pk}/try")
    assert "Refresh" not in response.headers
    assert "worker-io" in response.content.decode()


def test_trial_while_the_broker_is_away_is_refused_with_words(
    client: Client, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Celery(
        "away", set_as_current=False, broker="redis://127.0.0.1:1/0", broker_transport_options={"max_retries": 1}
    )
    monkeypatch.setattr(trials, "app", away)
    response = client.post(f"/settings/endpoints/{endpoint.pk}/try", headers={"accept": "text/html"})
    assert response.status_code == 503
    assert "not reachable" in response.content.decode()
    assert trials.read_trial(Endpoint.objects.get()).state == "none"
