"""The door: passwords and the end of sessions. Lock-out has its own file."""

from datetime import timedelta

import pytest
from django.contrib.auth import authenticate
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from chatapp.accounts.models import SignIn, User
from chatapp.accounts.sessions import mark_seen
from tests.site_fixtures import PASSWORD, signed_in

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def enter(client: Client, email: str, password: str = PASSWORD, address: str = "192.0.2.1") -> int:
    return client.post(
        "/sign-in", {"email": email, "password": password}, REMOTE_ADDR=address, headers={"user-agent": FIREFOX}
    ).status_code


def is_in(client: Client) -> bool:
    return client.get("/account", headers={"accept": "text/html"}).status_code == 200


def test_right_password_opens_and_any_case_of_the_address_will_do(member: User) -> None:
    client = Client()
    assert enter(client, "MARIO@Example.org") == 302
    assert is_in(client)


def test_wrong_password_and_unknown_person_get_the_same_words(member: User) -> None:
    wrong = Client().post("/sign-in", {"email": member.email, "password": "no"}).content.decode()
    unknown = Client().post("/sign-in", {"email": "nobody@example.org", "password": "no"}).content.decode()
    words = "Email or password is wrong."
    assert words in wrong
    assert words in unknown


def test_two_addresses_that_only_fold_together_in_upper_case_are_two_people(member: User) -> None:
    User.objects.create_user("dıana@example.org", PASSWORD, name="Dotless")
    diana = User.objects.create_user("diana@example.org", "another long password", name="Diana")
    assert authenticate(username="DIANA@example.org", password="another long password") == diana


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil", "/\\evil", "account"]
)
def test_the_way_on_never_leaves_the_site(member: User, target: str) -> None:
    response = Client().post("/sign-in", {"email": member.email, "password": PASSWORD, "next": target})
    assert response.headers["Location"] == "/"


def test_suspended_person_cannot_enter_and_their_open_session_ends_at_once(member: User) -> None:
    client = signed_in(member)
    assert is_in(client)
    User.objects.filter(pk=member.pk).update(is_active=False)
    assert not is_in(client)
    assert enter(Client(), member.email) == 200


def test_deleted_persons_session_does_not_pass(member: User) -> None:
    client = signed_in(member)
    assert is_in(client)
    member.delete()
    assert not is_in(client)


def test_sign_out_ends_the_session_row(member: User) -> None:
    client = Client()
    enter(client, member.email)
    assert SignIn.objects.get().user == member
    client.post("/sign-out")
    assert not is_in(client)
    assert not SignIn.objects.exists()
    assert not Session.objects.exists()


def test_sessions_are_listed_and_one_can_be_ended(member: User) -> None:
    here, there = Client(), Client()
    enter(here, member.email)
    enter(there, member.email, address="198.51.100.7")
    page = here.get("/account").content.decode()
    assert "Firefox on Linux" in page
    assert "198.51.100.7" in page
    there_row = SignIn.objects.get(address="198.51.100.7")
    assert here.post("/account/sessions/end", {"session": there_row.pk}).json() == {"ok": True}
    assert not is_in(there)
    assert is_in(here)


def test_nobody_ends_the_session_of_another(member: User, outsider: User) -> None:
    client = Client()
    enter(client, member.email)
    sign_in = SignIn.objects.get(user=member)
    assert signed_in(outsider).post("/account/sessions/end", {"session": sign_in.pk}).status_code == 404
    assert signed_in(outsider).post("/account/sessions/end", {"others": "1"}).status_code == 200
    assert is_in(client)


def test_end_all_others_keeps_this_one(member: User) -> None:
    clients = [Client() for _number in range(3)]
    for client in clients:
        enter(client, member.email)
    clients[0].post("/account/sessions/end", {"others": "1"})
    assert [is_in(client) for client in clients] == [True, False, False]


def test_new_password_ends_the_other_sessions_and_keeps_this_one(member: User) -> None:
    here, there = Client(), Client()
    enter(here, member.email)
    enter(there, member.email)
    fields = {"password": PASSWORD, "new_password": "quite another phrase"}
    assert here.post("/account/password", fields).status_code == 302
    assert is_in(here)
    assert not is_in(there)
    assert SignIn.objects.filter(user=member).count() == 1
    assert enter(Client(), member.email) == 200, "the old password"
    assert enter(Client(), member.email, "quite another phrase") == 302


@pytest.mark.parametrize(
    ("password", "new_password"),
    [("wrong", "quite another phrase"), (PASSWORD, "short"), (PASSWORD, "password123"), (PASSWORD, "")],
)
def test_refused_password_changes_nothing(member: User, password: str, new_password: str) -> None:
    client = signed_in(member)
    response = client.post("/account/password", {"password": password, "new_password": new_password})
    assert response.status_code == 422
    assert User.objects.get(pk=member.pk).check_password(PASSWORD)


def test_last_seen_moves_in_steps(member: User) -> None:
    client = Client()
    enter(client, member.email)
    old = timezone.now() - timedelta(hours=1)
    SignIn.objects.update(last_seen_at=old)
    is_in(client)
    seen = SignIn.objects.get().last_seen_at
    assert seen > old
    mark_seen(SignIn.objects.get().session_id)
    assert SignIn.objects.get().last_seen_at == seen
