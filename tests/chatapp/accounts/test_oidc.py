"""Signing in with OpenID Connect: with a real provider over HTTP, and with one that lies."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock
import pytest
from django.test import Client
from joserfc.jwk import OctKey, RSAKey

from chatapp.accounts import codes
from chatapp.accounts.models import Identity, Role, User
from chatapp.config import Oidc
from tests.scripted_provider import ScriptedProvider, running_provider
from tests.site_fixtures import PASSWORD, make_person, signed_in

pytestmark = pytest.mark.django_db
PAGE = {"headers": {"accept": "text/html"}}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as running:
        yield f"http://localhost:{running.server_port}"


@pytest.fixture
def issuer(server: str, settings: Any) -> str:
    configure(settings, server)
    return server


@pytest.fixture
def liar(settings: Any) -> Iterator[ScriptedProvider]:
    with running_provider() as provider:
        configure(settings, provider.url, newcomers="member")
        yield provider


def configure(settings: Any, issuer: str, **fields: str) -> None:
    oidc = Oidc(issuer=issuer, client_id="sonde", client_secret="secret", name="", newcomers="nobody")
    settings.CONFIG = replace(settings.CONFIG, oidc=replace(oidc, **fields))


def tell(issuer: str, subject: str, **claims: Any) -> None:
    """What the provider says of this person."""
    httpx.put(f"{issuer}/users/{subject}", json=claims).raise_for_status()


def there_and_back(client: Client, subject: str, path: str = "/sign-in/oidc") -> Any:
    """The browser is led to the provider, the person signs in there, and the browser comes back."""
    begun = client.get(path, **PAGE)
    assert begun.status_code == 302, begun.content
    return back_from(client, begun.headers["Location"], subject)


def back_from(client: Client, url: str, subject: str) -> Any:
    answered = httpx.post(url, data={"sub": subject})
    assert answered.status_code == 302, answered.text
    parts = urlsplit(answered.headers["Location"])
    return client.get(f"{parts.path}?{parts.query}", **PAGE)


def is_in(client: Client) -> bool:
    return client.get("/account", **PAGE).status_code == 200


def test_a_person_of_the_team_signs_in_by_their_verified_address(issuer: str, member: User) -> None:
    tell(issuer, "m1", email="Mario@Example.org", email_verified=True, name="Mario R.")
    client = Client()
    assert "Sign in with localhost" in client.get("/sign-in", **PAGE).content.decode()
    assert there_and_back(client, "m1", "/sign-in/oidc?next=/files").headers["Location"] == "/files"
    assert is_in(client)
    assert client.session.get_expiry_age() > 86_400
    assert Identity.objects.get().user == member
    tell(issuer, "m1", email="mario.new@example.org", email_verified=True)
    again = Client()
    there_and_back(again, "m1")
    assert is_in(again), "known by the provider's own id from now on"


@pytest.mark.parametrize("verified", [False, None, "true"])
def test_an_address_that_is_not_verified_is_nobodys(issuer: str, member: User, verified: Any) -> None:
    tell(issuer, f"m2{verified}", email=member.email, email_verified=verified)
    client = Client()
    there_and_back(client, f"m2{verified}")
    assert not is_in(client)
    assert not Identity.objects.exists()


def test_an_owner_is_joined_by_themselves_alone(issuer: str, owner: User) -> None:
    tell(issuer, "o1", email=owner.email, email_verified=True)
    stranger = Client()
    there_and_back(stranger, "o1")
    assert not is_in(stranger), "whoever keeps the provider could write any address into it"
    client = signed_in(owner)
    refused = client.post("/account/oidc/connect", {"password": "guess"}, **PAGE)
    assert refused.headers["Location"] == "/account"
    page = client.post("/account/oidc/connect", {"password": PASSWORD}, **PAGE).content.decode()
    [url] = [part.split('"')[0] for part in page.split('href="') if part.startswith(issuer)]
    back_from(client, url.replace("&amp;", "&"), "o1")
    assert Identity.objects.get().user == owner
    there_and_back(stranger, "o1")
    assert is_in(stranger)
    client.post("/account/oidc/disconnect", **PAGE)
    assert not Identity.objects.exists()


def test_the_only_way_in_is_not_taken_away(issuer: str, settings: Any) -> None:
    configure(settings, issuer, newcomers="guest")
    tell(issuer, "g1", email="gina@example.org", email_verified=True)
    client = Client()
    there_and_back(client, "g1")
    page = client.post("/account/oidc/disconnect", follow=True, **PAGE).content.decode()
    assert "It is your only way in" in page
    assert Identity.objects.exists()
    assert "Change password" not in page


@pytest.mark.parametrize("role", ["guest", "member"])
def test_newcomers_become_what_the_configuration_says(issuer: str, settings: Any, role: str) -> None:
    configure(settings, issuer, newcomers=role)
    tell(issuer, f"n-{role}", email="nina@example.org", email_verified=True, name="Nina\u202e N.")
    client = Client()
    there_and_back(client, f"n-{role}")
    assert is_in(client)
    nina = User.objects.get()
    assert (nina.role, nina.name, nina.has_usable_password()) == (role, "Nina N.", False)


def test_strangers_stay_outside_unless_it_says_so(issuer: str) -> None:
    tell(issuer, "s1", email="stranger@example.org", email_verified=True)
    client = Client()
    back = there_and_back(client, "s1")
    assert back.headers["Location"] == "/sign-in"
    assert "Ask an owner or admin for an invitation." in client.get("/sign-in", **PAGE).content.decode()
    assert not User.objects.exists()


def test_a_suspended_person_does_not_come_in_by_it(issuer: str, member: User) -> None:
    tell(issuer, "m3", email=member.email, email_verified=True)
    there_and_back(Client(), "m3")
    User.objects.filter(pk=member.pk).update(is_active=False)
    client = Client()
    there_and_back(client, "m3")
    assert not is_in(client)


def test_the_second_step_is_asked_for_here_too(issuer: str, member: User) -> None:
    codes.confirm(member, codes.begin_setup(member).now())
    tell(issuer, "m4", email=member.email, email_verified=True)
    client = Client()
    assert there_and_back(client, "m4").headers["Location"] == "/sign-in/code"
    assert not is_in(client)


def test_an_answer_belongs_to_the_browser_that_has_asked_and_counts_once(issuer: str, member: User) -> None:
    """Else a stranger could sign others in as themselves, or use an answer seen on its way."""
    tell(issuer, "m5", email=member.email, email_verified=True)
    client, other = Client(), Client()
    url = client.get("/sign-in/oidc", **PAGE).headers["Location"]
    other.get("/sign-in/oidc", **PAGE)
    parts = urlsplit(httpx.post(url, data={"sub": "m5"}).headers["Location"])
    back = f"{parts.path}?{parts.query}"
    for elsewhere in (other, Client()):
        elsewhere.get(back, **PAGE)
        assert not is_in(elsewhere)
    client.get(back, **PAGE)
    assert is_in(client)
    client.post("/sign-out")
    client.get(back, **PAGE)
    assert not is_in(client)


def test_who_only_signs_in_there_connects_nothing_here(issuer: str, member: User, outsider: User) -> None:
    """A question of the door, answered after somebody has signed in: they have not asked to connect it."""
    tell(issuer, "m6", email=member.email, email_verified=True)
    client = Client()
    url = client.get("/sign-in/oidc", **PAGE).headers["Location"]
    client.post("/sign-in", {"email": outsider.email, "password": PASSWORD})
    back_from(client, url, "m6")
    assert not Identity.objects.filter(user=outsider).exists()


def test_without_a_provider_none_of_it_is_there(member: User) -> None:
    client = signed_in(member)
    for path in ("/sign-in/oidc", "/sign-in/oidc/callback?code=x&state=y"):
        assert Client().get(path, **PAGE).status_code == 404
    assert client.post("/account/oidc/connect", {"password": PASSWORD}).status_code == 404
    assert "Sign in with" not in Client().get("/sign-in", headers={"host": "127.0.0.1"}).content.decode()


def test_a_provider_out_of_reach_is_said_so(settings: Any) -> None:
    configure(settings, "http://127.0.0.1:9")
    assert Client().get("/sign-in/oidc", **PAGE).status_code == 503


def come_back(provider: ScriptedProvider, client: Client, **changes: Any) -> None:
    url = urlsplit(client.get("/sign-in/oidc", **PAGE).headers["Location"])
    sent = {name: values[0] for name, values in parse_qs(url.query).items()}
    claims = {**provider.honest_claims(sent["nonce"]), **changes}
    provider.claims = {name: value for name, value in claims.items() if value != "missing"}
    client.get("/sign-in/oidc/callback", {"code": "c", "state": sent["state"]}, **PAGE)
    assert sent["code_challenge_method"] == "S256"


@pytest.mark.parametrize(
    ("secret", "methods", "body"),
    [
        ("secret", ["client_secret_basic"], (None, None)),
        ("secret", ["client_secret_post"], ("sonde", "secret")),
        ("", ["none"], ("sonde", None)),
    ],
)
def test_the_scripted_provider_lets_in_when_it_is_honest(
    liar: ScriptedProvider, settings: Any, secret: str, methods: list[str], body: tuple[str | None, str | None]
) -> None:
    configure(settings, liar.url, newcomers="member", client_secret=secret)
    liar.metadata = {"token_endpoint_auth_methods_supported": methods}
    client = Client()
    come_back(liar, client)
    assert is_in(client)
    [asked] = liar.asked
    assert len(asked["code_verifier"]) >= 43
    assert (asked.get("client_id"), asked.get("client_secret")) == body


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://another.example"},
        {"aud": "another client"},
        {"aud": ["sonde", "another"], "azp": "another"},
        {"nonce": "another"},
        {"nonce": "missing"},
        {"exp": 1},
        {"exp": "missing"},
        {"iat": 99_999_999_999},
        {"sub": "missing"},
        {"at_hash": "wrong"},
    ],
    ids=str,
)
def test_claims_that_are_not_for_us_here_and_now_are_refused(liar: ScriptedProvider, change: dict[str, Any]) -> None:
    client = Client()
    come_back(liar, client, **change)
    assert not is_in(client)
    assert not User.objects.exists()


@pytest.mark.parametrize("forgery", ["another key", "client secret", "another name", "no token", "no json"])
def test_forged_answers_are_refused(liar: ScriptedProvider, forgery: str) -> None:
    client = Client()
    match forgery:
        case "another key":
            liar.signing_key = RSAKey.generate_key(2048, {"kid": "one"})
        case "client secret":
            liar.signing_key, liar.algorithm = OctKey.import_key("secret" * 8), "HS256"
        case "no token":
            liar.token = {"id_token": ""}
        case "no json":
            liar.token = {"error": "invalid_grant"}
    url = urlsplit(client.get("/sign-in/oidc", **PAGE).headers["Location"])
    sent = {name: values[0] for name, values in parse_qs(url.query).items()}
    liar.claims = liar.honest_claims(sent["nonce"])
    if forgery == "another name":
        liar.issuer = "https://another.example"
    client.get("/sign-in/oidc/callback", {"code": "c", "state": sent["state"]}, **PAGE)
    assert not is_in(client)


def test_a_token_without_an_address_is_completed_by_userinfo_of_the_same_person(liar: ScriptedProvider) -> None:
    told = {"email": "ana@example.org", "email_verified": True}
    liar.userinfo = {"sub": "somebody else", **told}
    client = Client()
    come_back(liar, client, email="missing")
    assert not is_in(client)
    liar.userinfo = {"sub": "ana", **told}
    come_back(liar, client, email="missing")
    assert is_in(client)
    assert User.objects.get().role == Role.MEMBER


def test_a_newcomer_never_takes_over_an_account_that_is_joined_elsewhere(liar: ScriptedProvider) -> None:
    person = make_person("Mario")
    Identity.objects.create(user=person, source=liar.url, subject="ana")
    client = Client()
    come_back(liar, client, email="other@example.org")
    assert is_in(client)
    assert User.objects.get() == person
