"""The first account: one link, one owner."""

import threading
from dataclasses import replace

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from chatapp.accounts import welcome
from chatapp.accounts.management.commands.owner_link import site_url
from chatapp.accounts.models import Role, User, WelcomeLink

FIELDS = {"name": "Olga", "email": "olga@example.org", "new_password": "a plain long password"}


@pytest.mark.django_db
def test_link_makes_the_owner_once_and_signs_them_in(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("owner_link")
    path = "/welcome/" + capsys.readouterr().out.strip().rpartition("/welcome/")[2]
    client = Client()
    assert client.get(path).status_code == 200
    assert client.post(path, FIELDS).headers["Location"] == "/"
    assert User.objects.get().role == Role.OWNER
    assert client.get("/account").status_code == 200
    assert Client().get(path).status_code == 404
    assert Client().post(path, {**FIELDS, "email": "eve@example.org"}).status_code == 404
    assert not WelcomeLink.objects.exists()


@pytest.mark.django_db
def test_command_fails_where_there_is_an_account(owner: User) -> None:
    with pytest.raises(CommandError, match="there is an account already") as failed:
        call_command("owner_link")
    assert failed.value.returncode == 1


@pytest.mark.django_db
def test_only_the_newest_link_works_and_only_its_hash_is_kept() -> None:
    old, new = welcome.issue_token(), welcome.issue_token()
    assert not welcome.token_is_valid(old)
    assert welcome.token_is_valid(new)
    assert new not in WelcomeLink.objects.get().token_hash


@pytest.mark.django_db
def test_link_is_worth_nothing_once_somebody_is_there(outsider: User) -> None:
    token = welcome.issue_token()
    assert not welcome.token_is_valid(token)
    assert welcome.create_owner(token, "Eve", "eve@example.org", "a plain long password") is None


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [{"email": "no address"}, {"new_password": "short"}, {"name": ""}])
def test_refused_fields_keep_the_link_good(wrong: dict[str, str]) -> None:
    path = f"/welcome/{welcome.issue_token()}"
    assert Client().post(path, FIELDS | wrong).status_code == 200
    assert not User.objects.exists()
    assert Client().post(path, FIELDS).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_two_people_at_the_same_moment_one_becomes_owner() -> None:
    token = welcome.issue_token()
    start, made = threading.Barrier(4), []

    def claim(number: int) -> None:
        start.wait()
        made.append(welcome.create_owner(token, f"P{number}", f"p{number}@example.org", "a plain long password"))
        connection.close()

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(owner is not None for owner in made) == 1
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("host", "port", "origins", "url"),
    [
        ("127.0.0.1", 8300, (), "http://127.0.0.1:8300"),
        ("0.0.0.0", 80, (), "http://127.0.0.1:80"),
        ("::", 8300, (), "http://[::1]:8300"),
        ("127.0.0.1", 8300, ("https://chat.example.org",), "https://chat.example.org"),
    ],
)
def test_link_names_an_address_that_opens(host: str, port: int, origins: tuple[str, ...], url: str) -> None:
    assert site_url(replace(settings.CONFIG, host=host, port=port, origins=origins)) == url
