"""Passkeys: what a device may send and what is refused. A real browser does it in tests/browser/test_signing_in.py."""

import json
from typing import Any

import pytest
from django.test import Client

from chatapp.accounts import codes, passkeys
from chatapp.accounts.models import Passkey, User
from tests.site_fixtures import PASSWORD, signed_in
from tests.soft_key import PRESENT, VERIFIED, SoftKey

pytestmark = pytest.mark.django_db
LOCAL = {"headers": {"host": "localhost"}}


def post(client: Client, path: str, fields: dict[str, Any], host: str = "localhost") -> Any:
    return client.post(path, json.dumps(fields), content_type="application/json", headers={"host": host})


def add(person: User, key: SoftKey, client: Client | None = None, **fields: str) -> Any:
    client = client or signed_in(person)
    begun = post(client, "/account/passkeys/begin", {"password": PASSWORD, **fields})
    assert begun.status_code == 200, begun.content
    return post(client, "/account/passkeys", {"name": "Phone", "credential": key.make(begun.json())})


def challenge(client: Client) -> dict[str, Any]:
    options: dict[str, Any] = post(client, "/sign-in/passkey/begin", {}).json()
    return options


def enter(client: Client, key: SoftKey, **fields: str) -> Any:
    return post(client, "/sign-in/passkey", {"credential": key.sign(challenge(client)), **fields})


def is_in(client: Client) -> bool:
    return client.get("/account", headers={"accept": "text/html", "host": "localhost"}).status_code == 200


@pytest.fixture
def key(member: User) -> SoftKey:
    key = SoftKey()
    assert add(member, key).json() == {"ok": True}
    return key


def test_a_passkey_signs_in_without_password_and_without_a_second_step(member: User, key: SoftKey) -> None:
    totp = codes.begin_setup(member)
    codes.confirm(member, totp.now())
    client = Client()
    assert enter(client, key, next="/files").json() == {"ok": True, "next": "/files"}
    assert is_in(client)
    assert client.session.get_expiry_age() > 86_400
    assert Passkey.objects.get().last_used_at is not None


def test_the_way_on_never_leaves_the_site(key: SoftKey) -> None:
    assert enter(Client(), key, next="https://evil.example/").json()["next"] == "/"


def test_the_options_ask_the_device_for_the_person_and_tell_nobodys_keys(key: SoftKey) -> None:
    public = challenge(Client())["publicKey"]
    assert public["userVerification"] == "required"
    assert public["rpId"] == "localhost"
    assert not public.get("allowCredentials")


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "http://evil.localhost"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:9999"},
        {"host": "evil.example"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"credential_id": b"unknown key"},
        {"user_handle": b"another person!!"},
    ],
    ids=str,
)
def test_refused_answers_of_a_device(key: SoftKey, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(key, name, value)
    client = Client()
    response = enter(client, key)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "passkey_refused")
    assert not is_in(client)


def test_another_key_with_the_same_id_opens_nothing(key: SoftKey) -> None:
    client = Client()
    assert enter(client, SoftKey(credential_id=key.credential_id)).status_code == 409
    assert not is_in(client)


def test_a_challenge_is_good_for_one_answer_in_one_browser(key: SoftKey) -> None:
    client, other = Client(), Client()
    answer = {"credential": key.sign(challenge(client))}
    assert post(other, "/sign-in/passkey", answer).status_code == 409, "seen on the way, sent from elsewhere"
    challenge(other)
    assert post(other, "/sign-in/passkey", answer).status_code == 409
    assert post(client, "/sign-in/passkey", answer).status_code == 200
    client.post("/sign-out", **LOCAL)
    assert post(client, "/sign-in/passkey", answer).status_code == 409
    assert not is_in(client)


@pytest.mark.parametrize("sent", [{}, {"credential": None}, {"credential": {}}, {"credential": {"id": 5}}, [], "x"])
def test_nonsense_is_refused(key: SoftKey, sent: Any) -> None:
    client = Client()
    challenge(client)
    assert post(client, "/sign-in/passkey", sent).status_code in (400, 409)
    assert not is_in(client)


def test_a_device_that_counts_backwards_has_been_copied(member: User) -> None:
    key = SoftKey(counter=5)
    add(member, key)
    key.counter = 7
    assert enter(Client(), key).status_code == 200
    for counter in (7, 6):
        key.counter = counter
        assert enter(Client(), key).status_code == 409
    key.counter = 8
    assert enter(Client(), key).status_code == 200


def test_a_suspended_persons_passkey_opens_nothing(member: User, key: SoftKey) -> None:
    User.objects.filter(pk=member.pk).update(is_active=False)
    client = Client()
    assert enter(client, key).status_code == 409
    assert not is_in(client)


def test_adding_needs_the_password_and_the_challenge_of_this_session(member: User, outsider: User) -> None:
    client, key = signed_in(member), SoftKey()
    assert post(client, "/account/passkeys/begin", {"password": "guess"}).status_code == 400
    assert post(client, "/account/passkeys/begin", {}).status_code == 400
    options = post(client, "/account/passkeys/begin", {"password": PASSWORD}).json()
    answer = {"name": "Phone", "credential": key.make(options)}
    assert post(signed_in(outsider), "/account/passkeys", answer).status_code == 409
    assert not Passkey.objects.exists()
    assert post(client, "/account/passkeys", answer).status_code == 200
    assert post(client, "/account/passkeys", answer).status_code == 409


def test_a_key_is_one_persons(member: User, outsider: User, key: SoftKey) -> None:
    assert add(outsider, SoftKey(credential_id=key.credential_id)).status_code == 409
    assert Passkey.objects.get().user == member


def test_there_is_an_end_to_the_number_of_passkeys(member: User, monkeypatch: pytest.MonkeyPatch, key: SoftKey) -> None:
    monkeypatch.setattr(passkeys, "MOST", 1)
    refused = post(signed_in(member), "/account/passkeys/begin", {"password": PASSWORD})
    assert refused.json()["error"]["code"] == "too_many"


def test_deleted_passkey_opens_nothing_and_nobody_deletes_anothers(member: User, outsider: User, key: SoftKey) -> None:
    path = f"/account/passkeys/{Passkey.objects.get().pk}/delete"
    assert signed_in(outsider).post(path, **LOCAL).status_code == 404
    assert Passkey.objects.exists()
    assert signed_in(member).post(path, **LOCAL).status_code == 200
    assert enter(Client(), key).status_code == 409


def test_a_bare_address_has_no_passkeys(member: User) -> None:
    begun = post(signed_in(member), "/account/passkeys/begin", {"password": PASSWORD}, host="127.0.0.1")
    assert begun.json()["error"]["code"] == "passkey_host"
    page = signed_in(member).get("/account", headers={"accept": "text/html", "host": "127.0.0.1"}).content.decode()
    assert "Passkeys need a host name" in page
