"""Who is let in, to what, and what is refused before anything is asked."""

from datetime import timedelta

import httpx
import openai
import pytest
from django.test import Client
from django.utils import timezone

from chatapp.accounts.models import Role, User
from chatapp.endpoints.models import Endpoint
from chatapp.programs import keys
from chatapp.programs.models import Ability, ApiKey, Call
from chatapp.usage.models import Quota, Spending
from tests.chatapp.programs.conftest import QUESTION, client_of, new_secret
from tests.live_site import LiveSite
from tests.site_fixtures import make_person

CHAT = {"model": "plain", "messages": QUESTION}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def served(endpoint: Endpoint) -> Endpoint:
    Endpoint.objects.filter(pk=endpoint.pk).update(model="plain")
    return endpoint


def test_only_a_key_in_the_header_opens(live_site: LiveSite, secret: str, member: User, served: Endpoint) -> None:
    url = f"{live_site.url}/v1/models"
    assert httpx.get(url, headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    for headers in (
        {},
        {"Authorization": f"Bearer {secret}x"},
        {"Authorization": f"Basic {secret}"},
        {"Authorization": secret},
        {"X-Api-Key": secret},
        {"Api-Key": secret},
    ):
        refused = httpx.get(url, headers=headers)
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
    assert httpx.get(url, params={"api_key": secret}).status_code == 401
    in_browser = Client()
    in_browser.force_login(member)
    assert in_browser.get("/v1/models").status_code == 401, "a session is no key"
    assert in_browser.post("/v1/chat/completions", CHAT, content_type="application/json").status_code == 401


def test_no_page_of_another_site_may_read(live_site: LiveSite, secret: str, served: Endpoint) -> None:
    headers = {"Authorization": f"Bearer {secret}", "Origin": "https://elsewhere.example"}
    answer = httpx.get(f"{live_site.url}/v1/models", headers=headers)
    assert answer.status_code == 200
    preflight = httpx.options(
        f"{live_site.url}/v1/chat/completions", headers={**headers, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 405
    for response in (answer, preflight):
        assert not [name for name in response.headers if name.startswith("access-control")]
    assert answer.headers["cache-control"] == "no-store"


def test_a_key_works_until_it_expires_and_while_its_owner_is_of_the_team(
    live_site: LiveSite, member: User, served: Endpoint
) -> None:
    secret = new_secret(member, expires_at=timezone.now() + timedelta(hours=1))
    with client_of(live_site, secret) as program:
        assert program.models.list().data
        ApiKey.objects.update(expires_at=timezone.now())
        with pytest.raises(openai.AuthenticationError):
            program.models.list()
        ApiKey.objects.update(expires_at=None)
        assert program.models.list().data
        User.objects.filter(pk=member.pk).update(role=Role.GUEST)
        with pytest.raises(openai.AuthenticationError):
            program.models.list()


def test_only_the_hash_of_a_key_is_kept(member: User) -> None:
    secret = new_secret(member)
    key = ApiKey.objects.get()
    assert keys.find(secret) == key and secret.startswith(key.prefix) and len(key.prefix) < 20 < len(secret)
    assert secret not in str(ApiKey.objects.values().get())
    assert ApiKey.objects.get().last_used_at is not None


def test_a_key_opens_only_what_it_is_for(live_site: LiveSite, member: User, served: Endpoint) -> None:
    with client_of(live_site, new_secret(member, abilities=[Ability.FILES])) as program:
        assert program.models.list().data == [], "to be looked at by every key, and this one may ask none"
        with pytest.raises(openai.PermissionDeniedError, match="may not be used for chat"):
            program.chat.completions.create(**CHAT)  # type: ignore[call-overload]
        with pytest.raises(openai.PermissionDeniedError):
            program.completions.create(model="plain", prompt="a")
        with pytest.raises(openai.PermissionDeniedError, match="embeddings"):
            program.embeddings.create(model="any", input="a")


def test_a_key_asks_only_its_models_and_not_all_once_they_are_gone(
    live_site: LiveSite, member: User, served: Endpoint
) -> None:
    other = Endpoint.objects.create(name="Other", base_url="http://127.0.0.1:9/v1", model="other")
    with client_of(live_site, new_secret(member, abilities=["chat"], endpoint_ids=[other.pk])) as program:
        assert [model.id for model in program.models.list().data] == ["other"]
        with pytest.raises(openai.NotFoundError, match="does not exist, or this key may not ask it"):
            program.chat.completions.create(**CHAT)  # type: ignore[call-overload]
        with pytest.raises(openai.NotFoundError):
            program.models.retrieve("plain")
        other.delete()
        assert program.models.list().data == []


def test_two_endpoints_with_one_model_have_names_of_their_own(
    live_site: LiveSite, secret: str, served: Endpoint
) -> None:
    Endpoint.objects.create(name="Second", base_url="http://127.0.0.1:9/v1", model="plain")
    Endpoint.objects.create(name="Asleep", base_url="http://127.0.0.1:9/v1", model="asleep", is_enabled=False)
    with client_of(live_site, secret) as program:
        assert [model.id for model in program.models.list().data][:-1] == ["plain", "plain@Second"]
        assert program.models.retrieve("plain@Second").owned_by == "Second"


def test_what_the_model_cannot_do_is_refused_before_it_is_asked(
    live_site: LiveSite, secret: str, served: Endpoint
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    begun = {"role": "assistant", "content": "a", "prefix": True}
    with client_of(live_site, secret) as program:
        for change, words in (
            ({"messages": [{"role": "user", "content": [picture]}]}, "does not see"),
            ({"extra_body": {"thinking": {"type": "enabled"}}}, "does not think"),
            ({"messages": [*QUESTION, begun]}, "cannot continue"),
            ({"max_tokens": 2049}, "max_tokens=2049 must be from 1 to 2048"),
        ):
            with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError), match=words):
                program.chat.completions.create(**{**CHAT, **change})  # type: ignore[call-overload]
    assert not Call.objects.exists()


def test_what_is_used_up_is_402_whoever_set_the_limit(
    live_site: LiveSite, secret: str, member: User, served: Endpoint
) -> None:
    key = ApiKey.objects.get()
    Spending.objects.create(kind="call", user=member, key=key, endpoint_name="x", model="x", output_tokens=100)
    with client_of(live_site, secret) as program:
        for quota, words in (
            (Quota.objects.create(key=key, tokens_a_day=100), "What the API key “Reports” may spend in a day"),
            (Quota.objects.create(user=member, tokens_a_month=100), "What you may spend in a month"),
        ):
            with pytest.raises(openai.APIStatusError, match=words) as refused:
                program.chat.completions.create(**CHAT)  # type: ignore[call-overload]
            assert (refused.value.status_code, refused.value.code) == (402, "insufficient_quota")
            quota.delete()
    assert not Call.objects.exists()


def test_the_balance_tells_what_is_left(live_site: LiveSite, secret: str, member: User, served: Endpoint) -> None:
    key = ApiKey.objects.get()
    headers = {"Authorization": f"Bearer {secret}"}
    for path in ("/v1/user/balance", "/user/balance"):
        free = httpx.get(live_site.url + path, headers=headers).json()
        assert free == {"is_available": True, "balance_infos": [], "limits": []}
    Spending.objects.create(kind="call", user=member, key=key, endpoint_name="x", model="x", cost="0.25")
    Quota.objects.create(key=key, money_a_day=1)
    Quota.objects.create(user=member, money_a_month="0.25", tokens_a_day=7)
    told = httpx.get(f"{live_site.url}/v1/user/balance", headers=headers).json()
    assert told["is_available"] is False
    assert told["balance_infos"][0]["total_balance"] == "0.0000"
    used = {(limit["of"], limit["span"], limit["unit"]): float(limit["used"]) for limit in told["limits"]}
    assert used == {("key", "day", "USD"): 0.25, ("person", "month", "USD"): 0.25, ("person", "day", "tokens"): 0}


def test_a_body_may_be_as_large_as_the_site_takes_it(live_site: LiveSite, secret: str, served: Endpoint) -> None:
    long = {"model": "none", "messages": [{"role": "user", "content": "tide " * 1_000_000}]}
    with client_of(live_site, secret) as program, pytest.raises(openai.NotFoundError):
        program.chat.completions.create(**long)  # type: ignore[call-overload]
    long["messages"][0]["content"] *= 2  # type: ignore[index]
    with client_of(live_site, secret) as program, pytest.raises(openai.APIStatusError) as refused:
        program.chat.completions.create(**long)  # type: ignore[call-overload]
    assert refused.value.status_code == 413


def test_what_is_not_there_is_told_as_json(live_site: LiveSite, secret: str, served: Endpoint) -> None:
    with client_of(live_site, secret) as program:
        with pytest.raises(openai.NotFoundError, match="There is no /v1/images/generations here"):
            program.images.generate(prompt="a tide", model="plain")
        with pytest.raises(openai.APIStatusError) as refused:
            program.get("/completions", cast_to=object)
    assert refused.value.status_code == 405
    broken = httpx.post(
        f"{live_site.url}/v1/chat/completions", content=b"{", headers={"Authorization": f"Bearer {secret}"}
    )
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_json")


def test_an_admin_does_not_end_an_owners_key(owner: User, member: User) -> None:
    from chatapp.errors import NotFound

    admin = make_person("Ada", Role.ADMIN)
    new_secret(owner, "The owner's")
    new_secret(member, "The member's")
    keys.end(admin, ApiKey.objects.get(owner=member).pk)
    with pytest.raises(NotFound):
        keys.end(admin, ApiKey.objects.get(owner=owner).pk)
    assert ApiKey.objects.get(owner=owner).revoked_at is None
