"""Passwords of an LDAP directory, asked of a real OpenLDAP server."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from chatapp.accounts.models import Identity, Role, User
from chatapp.config import Ldap
from tests.slapd import BASE, PROGRAM, ROOT, ROOT_PASSWORD, Directory, make_certificates, running_slapd

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not PROGRAM.exists(), reason=f"no {PROGRAM}: apt install slapd"),
]
PAGE = {"headers": {"accept": "text/html"}}
PASSWORD = "kept in the directory"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    with running_slapd(tmp_path_factory.mktemp("slapd")) as running:
        running.add("", objectClass=["dcObject", "organization"], dc="example", o="Example")
        running.add("ou=people", objectClass="organizationalUnit", ou="people")
        running.add_person("lena", "lena@example.org", PASSWORD, "Lena Leuchtturm")
        running.add_person("star", "s*@example.org", PASSWORD, "Star")
        for twin in ("twin1", "twin2"):
            running.add_person(twin, "twins@example.org", PASSWORD, "Twin")
        yield running


@pytest.fixture
def configure(directory: Directory, settings: Any) -> Any:
    def change(**fields: str) -> None:
        ldap = Ldap(
            url=directory.url,
            ca_file="",
            bind_dn=ROOT,
            bind_password=ROOT_PASSWORD,
            base=f"ou=people,{BASE}",
            filter="(mail={email})",
            newcomers="member",
        )
        settings.CONFIG = replace(settings.CONFIG, ldap=replace(ldap, **fields))

    change()
    return change


def enter(email: str, password: str = PASSWORD) -> Client | None:
    client = Client()
    client.post("/sign-in", {"email": email, "password": password}, **PAGE)
    return client if client.get("/account", **PAGE).status_code == 200 else None


def test_a_newcomer_of_the_directory_comes_in_and_is_known_the_next_time(configure: Any) -> None:
    assert enter("LENA@example.org") is not None
    lena = User.objects.get()
    assert (lena.name, lena.email, lena.role) == ("Lena Leuchtturm", "lena@example.org", Role.MEMBER)
    assert not lena.has_usable_password()
    assert len(Identity.objects.get().subject) == 36, "by the directory's own id, which survives a new address"
    assert enter("lena@example.org") is not None
    assert User.objects.count() == Identity.objects.count() == 1


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("lena@example.org", "guess"),
        ("lena@example.org", ""),
        ("nobody@example.org", PASSWORD),
        ("*@example.org", PASSWORD),
        ("l*@example.org", PASSWORD),
        ("lena@example.org)(uid=*", PASSWORD),
        ("twins@example.org", PASSWORD),
    ],
)
def test_who_does_not_come_in(configure: Any, email: str, password: str) -> None:
    assert enter(email, password) is None
    assert not User.objects.exists()


def test_what_is_typed_is_no_pattern(configure: Any) -> None:
    assert enter("s*@example.org") is not None, "a star is a star"
    assert User.objects.get().name == "Star"


def test_an_empty_password_is_not_asked_about(configure: Any) -> None:
    """A bind without a password succeeds by the standard, as nobody: the form refuses it, and so does the question."""
    from django.conf import settings

    from chatapp.accounts.directory import find

    assert find(settings.CONFIG.ldap, "lena@example.org", PASSWORD) is not None
    assert find(settings.CONFIG.ldap, "lena@example.org", "") is None


def test_a_password_from_here_is_not_shown_to_the_directory(configure: Any) -> None:
    """And whoever keeps the directory cannot come in as somebody who has one here."""
    User.objects.create_user("lena@example.org", "a password of this house", name="Lena")
    assert enter("lena@example.org", PASSWORD) is None
    assert enter("lena@example.org", "a password of this house") is not None
    assert not Identity.objects.exists()


def test_strangers_of_the_directory_stay_outside_unless_it_says_so(configure: Any) -> None:
    configure(newcomers="nobody")
    page = Client().post("/sign-in", {"email": "lena@example.org", "password": PASSWORD}, **PAGE).content.decode()
    assert "Ask an owner or admin for an invitation." in page
    assert not User.objects.exists()


def test_a_suspended_person_does_not_come_in(configure: Any) -> None:
    assert enter("lena@example.org") is not None
    User.objects.update(is_active=False)
    assert enter("lena@example.org") is None


def test_a_sealed_wire_is_checked_against_its_authority(configure: Any, directory: Directory, tmp_path: Any) -> None:
    configure(url=directory.tls_url, ca_file=directory.ca_file)
    assert enter("lena@example.org") is not None
    make_certificates(tmp_path)
    configure(url=directory.tls_url, ca_file=str(tmp_path / "ca.pem"))
    assert enter("lena@example.org") is None, "another authority"
    configure(url=directory.tls_url)
    assert enter("lena@example.org") is None, "nobody that this machine trusts"


@pytest.mark.parametrize(
    "fields", [{"url": "ldap://127.0.0.1:9"}, {"bind_password": "wrong"}, {"base": "ou=nowhere,dc=example,dc=org"}]
)
def test_a_directory_that_cannot_be_asked_keeps_nobody_from_here_outside(
    configure: Any, member: User, fields: dict[str, str]
) -> None:
    configure(**fields)
    assert enter("lena@example.org") is None
    assert enter(member.email, "a plain long password") is not None


def test_who_is_gone_from_the_directory_does_not_come_in(configure: Any, directory: Directory) -> None:
    directory.add_person("gone", "gone@example.org", PASSWORD, "Gone")
    assert enter("gone@example.org") is not None
    directory.delete("uid=gone,ou=people")
    assert enter("gone@example.org") is None
