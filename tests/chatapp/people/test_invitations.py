"""Invitation links: what they make, when they work, and what they tell."""

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from chatapp.accounts.models import Group, Role, Throttle, User
from chatapp.accounts.throttle import LIMITS
from chatapp.errors import ChatError, Invalid, NotFound
from chatapp.people import invitations, standing
from chatapp.people.models import Arrival, Invitation
from tests.site_fixtures import PASSWORD, make_person, signed_in

PAGE = {"headers": {"accept": "text/html"}}
FIELDS = {"name": "Nina", "email": "nina@example.org", "new_password": "quite another phrase"}


def invite(keeper: User, **fields: Any) -> invitations.Made:
    return invitations.make(keeper, **{"role": "member", "days": 7, "max_uses": 1, **fields})


def join(token: str, **fields: str) -> User:
    given = {"name": "Nina", "email": "nina@example.org", "password": PASSWORD, **fields}
    return invitations.join(token, **given)


@pytest.mark.django_db
def test_link_is_shown_once_and_makes_an_account_that_is_signed_in(admin: User) -> None:
    keeper, stranger = signed_in(admin), Client()
    fields = {"role": "guest", "days": "7", "max_uses": "1", "note": "Nina of the harbour"}
    page = keeper.post("/people/invitations", fields, **PAGE).content.decode()
    [path] = set(re.findall(r"http://testserver(/join/[\w-]+)", page))
    assert path not in keeper.get("/people", **PAGE).content.decode()
    assert "Ada has invited you." in stranger.get(path, **PAGE).content.decode()
    assert stranger.post(path, FIELDS, **PAGE).headers["Location"] == "/"
    assert stranger.get("/account", **PAGE).status_code == 200
    nina = User.objects.get(email="nina@example.org")
    assert (nina.role, nina.check_password(FIELDS["new_password"])) == ("guest", True)
    listed = keeper.get("/people", **PAGE).content.decode()
    assert "Nina of the harbour" in listed and "1 of 1 used" in listed and "used up" in listed
    assert f'href="/people/{nina.pk}"' in listed


@pytest.mark.django_db
def test_only_the_hash_of_a_token_is_kept(admin: User) -> None:
    made = invite(admin)
    assert made.token not in str(Invitation.objects.values())


@pytest.mark.django_db
def test_link_for_many_brings_as_many_as_it_says_into_the_group(admin: User) -> None:
    group = Group.objects.create(name="Pilots")
    token = invite(admin, max_uses=2, group=group).token
    for number in range(2):
        join(token, email=f"p{number}@example.org")
    with pytest.raises(NotFound):
        join(token, email="late@example.org")
    assert group.members.count() == Arrival.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    "end",
    [
        lambda made, keeper: Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1)),
        lambda made, keeper: Invitation.objects.update(num_uses=1),
        lambda made, keeper: invitations.revoke(keeper, made.invitation.pk),
        lambda made, keeper: User.objects.filter(pk=keeper.pk).update(is_active=False),
        lambda made, keeper: User.objects.filter(pk=keeper.pk).update(role=Role.MEMBER),
        lambda made, keeper: keeper.delete(),
    ],
    ids=["expired", "used", "revoked", "maker suspended", "maker demoted", "maker gone"],
)
def test_link_that_does_not_work_looks_like_one_that_never_was(admin: User, end: Any) -> None:
    made = invite(admin)
    path = f"/join/{made.token}"
    assert Client().get(path, **PAGE).status_code == 200
    end(made, admin)
    ended, unknown = Client().get(path, **PAGE), Client().get("/join/never-was", **PAGE)
    assert ended.status_code == unknown.status_code == 404
    assert without_token(ended.content) == without_token(unknown.content)
    assert Client().post(path, FIELDS, **PAGE).status_code == 404
    assert not User.objects.filter(email="nina@example.org").exists()


def without_token(page: bytes) -> str:
    return re.sub(r'(csrfmiddlewaretoken" value=|csrf-token" content=)"\w+"', "", page.decode())


@pytest.mark.django_db
def test_who_may_invite_as_what(owner: User, admin: User, member: User) -> None:
    for keeper in (owner, admin):
        for role in ("admin", "member", "guest"):
            invite(keeper, role=role)
        with pytest.raises(Invalid):
            invite(keeper, role="owner")
    with pytest.raises(NotFound):
        invite(member)
    with pytest.raises(NotFound):
        invitations.revoke(member, Invitation.objects.all()[0].pk)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields", [{"days": 0}, {"days": 91}, {"max_uses": 0}, {"max_uses": 501}, {"role": "captain"}, {"role": ""}]
)
def test_refused_invitations(admin: User, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        invite(admin, **fields)


@pytest.mark.django_db
def test_refused_fields_keep_the_link_good(admin: User) -> None:
    path = f"/join/{invite(admin).token}"
    for wrong in ({"email": "no address"}, {"new_password": "short"}, {"name": ""}):
        assert Client().post(path, FIELDS | wrong, **PAGE).status_code == 200
    assert not Throttle.objects.exists(), "nothing to wait for"
    assert Client().post(path, FIELDS, **PAGE).status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize("email", ["mario@example.org", "MARIO@Example.org"])
def test_an_address_that_has_an_account_costs_a_use_and_changes_nothing(admin: User, member: User, email: str) -> None:
    token = invite(admin, max_uses=2).token
    page = Client().post(f"/join/{token}", FIELDS | {"email": email}, **PAGE)
    assert page.status_code == 409
    assert "No account could be made with this email." in page.content.decode()
    assert Invitation.objects.get().num_uses == 1
    assert User.objects.count() == 2
    assert User.objects.get(pk=member.pk).check_password(PASSWORD)
    assert not Arrival.objects.exists()


@pytest.mark.django_db
def test_who_tries_many_addresses_or_links_has_to_wait(admin: User, member: User) -> None:
    path = f"/join/{invite(admin, max_uses=100).token}"
    taken = FIELDS | {"email": member.email}
    for _try in range(LIMITS["join"].free + 1):
        assert Client().post(path, taken, **PAGE).status_code == 409
    locked = Client().post(path, FIELDS, **PAGE)
    assert locked.status_code == 429
    assert "Too many tries." in locked.content.decode()
    assert Client().post(path, FIELDS, REMOTE_ADDR="198.51.100.7", **PAGE).status_code == 302
    for number in range(LIMITS["token"].free + 1):
        assert Client().get(f"/join/guess{number}", **PAGE).status_code == 404
    assert Client().get("/join/guess", **PAGE).status_code == 429


@pytest.mark.django_db
def test_a_whole_class_behind_one_address_joins_without_waiting(admin: User) -> None:
    path = f"/join/{invite(admin, max_uses=100).token}"
    for number in range(LIMITS["join"].free + 5):
        assert Client().post(path, FIELDS | {"email": f"p{number}@example.org"}, **PAGE).status_code == 302


@pytest.mark.django_db
def test_who_is_signed_in_stays_who_they_are(admin: User, outsider: User) -> None:
    client = signed_in(outsider)
    path = f"/join/{invite(admin, role='admin').token}"
    assert "You are signed in as Oskar" in client.get(path, **PAGE).content.decode()
    assert "You are signed in as Oskar" in client.post(path, FIELDS, **PAGE).content.decode()
    assert User.objects.get(pk=outsider.pk).role == Role.MEMBER
    assert Invitation.objects.get().num_uses == 0


@pytest.mark.django_db
def test_a_suspended_admins_links_work_again_when_they_come_back(owner: User, admin: User) -> None:
    token = invite(admin).token
    standing.suspend(owner, admin.pk)
    assert invitations.find(token) is None
    assert "does not work: its maker" in signed_in(owner).get("/people", **PAGE).content.decode()
    standing.reactivate(owner, admin.pk)
    assert invitations.find(token) is not None


@pytest.mark.django_db(transaction=True)
def test_of_many_at_the_last_use_of_a_link_one_gets_in() -> None:
    token = invite(make_person("Ada", Role.ADMIN)).token
    start, came = threading.Barrier(5), []

    def claim(number: int) -> None:
        start.wait()
        try:
            came.append(join(token, email=f"p{number}@example.org"))
        except ChatError:
            pass
        connection.close()

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(came) == 1
    assert User.objects.count() == 2
