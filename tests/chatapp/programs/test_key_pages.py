"""Keys as people make them, see them once and end them; and what they cost on the pages of usage."""

import csv
import re
from decimal import Decimal

import pytest
from django.test import Client

from chatapp.accounts.models import Role, User
from chatapp.endpoints.models import Endpoint
from chatapp.programs import keys
from chatapp.programs.models import ApiKey
from chatapp.usage.models import Quota, Spending
from tests.chatapp.programs.conftest import new_secret
from tests.site_fixtures import make_person, signed_in

pytestmark = pytest.mark.django_db
PAGE = {"headers": {"accept": "text/html"}}
FORM = {"name": "Reports", "days": "90", "abilities": ["chat", "files"]}


def test_a_key_is_shown_once(member: User, endpoint: Endpoint) -> None:
    client = signed_in(member)
    made = client.post("/account/keys", {**FORM, "models": [str(endpoint.pk)], "money_a_month": "5"}, **PAGE)
    found = re.search(r'value="(sk-sonde-[\w-]{43})"', made.content.decode())
    assert found and "no-cache" in made.headers["Cache-Control"]
    key = ApiKey.objects.get()
    assert keys.find(found[1]) == key and key.owner == member and key.abilities == ["chat", "files"]
    assert not key.any_model and list(key.endpoints.all()) == [endpoint] and key.expires_at is not None
    assert Quota.objects.get(key=key).money_a_month == 5
    page = client.get("/account/keys", **PAGE).content.decode()
    assert key.prefix in page and found[1] not in page


@pytest.mark.parametrize("change", [{"name": ""}, {"name": "x" * 61}, {"abilities": ["root"]}, {"days": "5"}])
def test_what_a_key_cannot_be_is_said_on_the_page(member: User, change: dict[str, object]) -> None:
    assert signed_in(member).post("/account/keys", {**FORM, **change}, **PAGE).status_code == 422
    assert not ApiKey.objects.exists()


def test_guests_have_no_keys(member: User) -> None:
    guest = make_person("Gus", Role.GUEST)
    assert signed_in(member).get("/account/keys", **PAGE).status_code == 200
    assert signed_in(guest).get("/account/keys", **PAGE).status_code == 404
    assert signed_in(guest).post("/account/keys", FORM, **PAGE).status_code == 404
    assert "/account/keys" not in signed_in(guest).get("/account", **PAGE).content.decode()


def test_a_person_has_only_so_many_keys_that_work(member: User) -> None:
    rows = [ApiKey(owner=member, name="x", prefix="sk", key_hash=f"{n:064}", abilities=[]) for n in range(keys.MOST)]
    ApiKey.objects.bulk_create(rows)
    refused = signed_in(member).post("/account/keys", FORM, **PAGE)
    assert refused.status_code == 422 and "100 API keys" in refused.content.decode()


def test_limits_of_a_key_are_changed_and_ended(member: User, outsider: User) -> None:
    new_secret(member)
    key = ApiKey.objects.get()
    client = signed_in(member)
    assert client.post(f"/account/keys/{key.pk}", {"tokens_a_day": "1000"}, **PAGE).status_code == 302
    Spending.objects.create(kind="call", user=member, key=key, endpoint_name="x", model="x", output_tokens=250)
    page = client.get(f"/account/keys/{key.pk}", **PAGE).content.decode()
    assert "250 of 1,000 tokens" in page and 'value="1000"' in page
    assert signed_in(outsider).post(f"/account/keys/{key.pk}", {"tokens_a_day": "9"}, **PAGE).status_code == 404
    assert client.post(f"/account/keys/{key.pk}", {"tokens_a_day": "-1"}, **PAGE).status_code == 422
    assert Quota.objects.get(key=key).tokens_a_day == 1000
    client.post(f"/account/keys/{key.pk}", {"tokens_a_day": ""}, **PAGE)
    assert not Quota.objects.filter(key=key).exists()


def test_a_key_is_ended_by_its_owner_or_a_keeper_and_by_nobody_else(member: User, outsider: User, owner: User) -> None:
    first, second = new_secret(member, "First"), new_secret(member, "Second")
    for person, secret, status in ((outsider, first, 404), (member, first, 302), (owner, second, 302)):
        key = keys.find(secret)
        assert key is not None
        assert signed_in(person).post(f"/account/keys/{key.pk}/end", **PAGE).status_code == status
        assert (keys.find(secret) is None) == (status == 302)
    assert 'badge--quiet">ended' in signed_in(member).get("/account/keys", **PAGE).content.decode()
    assert keys.find(second) is None


def test_keepers_see_every_key_that_was_not_ended(member: User, owner: User) -> None:
    new_secret(member, "Nightly report")
    keys.end(member, ApiKey.objects.get(owner=member, name="Nightly report").pk)
    new_secret(member, "Weekly report")
    page = signed_in(owner).get("/people/keys", **PAGE).content.decode()
    assert "Weekly report" in page and "Nightly report" not in page and member.name in page


def test_signing_out_elsewhere_leaves_keys_unless_it_is_said(member: User) -> None:
    secret = new_secret(member)
    here = signed_in(member)
    assert "End my API key too" in here.get("/account", **PAGE).content.decode()
    here.post("/account/sessions/end", {"others": "1"}, **PAGE)
    assert keys.find(secret) is not None
    here.post("/account/sessions/end", {"others": "1", "keys": "1"}, **PAGE)
    assert keys.find(secret) is None and here.get("/account", **PAGE).status_code == 200


def test_a_new_password_says_that_keys_live_on(member: User) -> None:
    assert "API keys live on" in signed_in(member).get("/account", **PAGE).content.decode()


def test_usage_is_told_by_key(member: User, owner: User, outsider: User) -> None:
    for person, name, tokens in ((member, "Reports", 70), (outsider, "Reports", 30)):
        new_secret(person, name)
        key = ApiKey.objects.get(owner=person)
        facts = {"kind": "call", "endpoint_name": "x", "model": "x", "output_tokens": tokens, "cost": Decimal(tokens)}
        Spending.objects.create(user=person, key=key, **facts)
        Spending.objects.create(user=person, **{**facts, "kind": "answer"})
    own = rows_of(signed_in(member), "/usage.csv")
    prefix = ApiKey.objects.get(owner=member).prefix
    assert {row["key"]: row["output_tokens"] for row in own} == {
        f"Reports · {prefix}": "70",
        "without an API key": "70",
    }
    team = rows_of(signed_in(owner), "/usage/team.csv")
    assert sorted(row["output_tokens"] for row in team) == ["100", "30", "70"]
    page = signed_in(member).get("/usage?by=key", **PAGE).content.decode()
    assert f"Reports · {prefix}" in page and "API key" in page


def rows_of(client: Client, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(client.get(path, {"by": "key"}).content.decode().splitlines()))
