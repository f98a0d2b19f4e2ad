"""A forgotten password: whose link it is, what it opens, and when it ends."""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from chatapp.accounts.models import Role, User
from chatapp.accounts.throttle import LIMITS
from chatapp.errors import ChatError, NotFound
from chatapp.people import passwords, standing
from tests.site_fixtures import PASSWORD, make_person, signed_in

PAGE = {"headers": {"accept": "text/html"}}
NEW = "quite another phrase"


def link_of(keeper: User, person: User) -> str:
    page = signed_in(keeper).post(f"/people/{person.pk}/reset-password", **PAGE).content.decode()
    [path] = set(re.findall(r"http://testserver(/password/[\w/-]+)", page))
    return str(path)


def sign_in(email: str, password: str) -> int:
    return Client().post("/sign-in", {"email": email, "password": password}).status_code


@pytest.mark.django_db
def test_link_gives_a_new_password_once_and_ends_every_session(admin: User, member: User) -> None:
    session, stranger = Client(), Client()
    session.post("/sign-in", {"email": member.email, "password": PASSWORD})
    path = link_of(admin, member)
    assert member.email in stranger.get(path, **PAGE).content.decode()
    assert stranger.post(path, {"new_password": "short"}, **PAGE).status_code == 422
    done = stranger.post(path, {"new_password": NEW}, **PAGE)
    assert done.headers["Location"] == "/sign-in" and "_auth_user_id" not in stranger.session
    assert session.get("/account", **PAGE).status_code == 302
    assert stranger.get(path, **PAGE).status_code == 404
    assert (sign_in(member.email, PASSWORD), sign_in(member.email, NEW)) == (200, 302)


@pytest.mark.django_db
def test_link_ends_when_the_person_signs_in_and_when_they_are_suspended(admin: User, member: User) -> None:
    first = link_of(admin, member)
    sign_in(member.email, PASSWORD)
    assert Client().get(first, **PAGE).status_code == 404
    second = link_of(admin, member)
    standing.suspend(admin, member.pk)
    assert Client().get(second, **PAGE).status_code == 404


@pytest.mark.django_db
def test_a_link_of_one_person_opens_no_other(admin: User, member: User, outsider: User) -> None:
    token = passwords.make(admin, member.pk).token
    assert passwords.find(member.pk, token) is not None
    assert passwords.find(outsider.pk, token) is None
    assert not passwords.choose(outsider.pk, token, NEW)


@pytest.mark.django_db
def test_an_admin_gives_none_to_an_owner_and_a_member_to_nobody(owner: User, admin: User, member: User) -> None:
    with pytest.raises(ChatError) as refused:
        passwords.make(admin, owner.pk)
    assert refused.value.code == "not_yours"
    with pytest.raises(NotFound):
        passwords.make(member, admin.pk)


@pytest.mark.django_db
def test_who_signs_in_elsewhere_gets_none(admin: User) -> None:
    elsewhere = make_person("Elsa", Role.MEMBER)
    elsewhere.set_unusable_password()
    elsewhere.save()
    page = signed_in(admin).get(f"/people/{elsewhere.pk}", **PAGE).content.decode()
    assert "reset-password" not in page
    with pytest.raises(ChatError):
        passwords.make(admin, elsewhere.pk)


@pytest.mark.django_db
def test_who_tries_many_links_waits(member: User) -> None:
    statuses = [
        Client().get(f"/password/{member.pk}/abc-{n}", **PAGE).status_code for n in range(LIMITS["token"].free + 2)
    ]
    assert statuses[0] == 404 and statuses[-1] == 429


@pytest.mark.django_db
def test_an_owner_gets_one_on_the_machine_itself(owner: User) -> None:
    out = StringIO()
    call_command("password_link", owner.email.upper(), stdout=out)
    path = re.search(r"/password/\S+", out.getvalue())
    assert path is not None and Client().get(path[0], **PAGE).status_code == 200
    with pytest.raises(CommandError):
        call_command("password_link", "nobody@example.org")
