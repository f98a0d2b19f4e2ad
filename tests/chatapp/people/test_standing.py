"""Roles, suspension and coming back: who may do it to whom, and that it counts at once."""

import threading
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from chatapp.accounts.models import Role, User
from chatapp.answers.models import Answer, Status
from chatapp.conversations.models import Conversation, Message
from chatapp.endpoints.models import Endpoint
from chatapp.errors import ChatError, Invalid, NotFound
from chatapp.people import standing
from chatapp.people.team import read_person
from chatapp.security import CLOSE_SIGNED_OUT
from tests.live_site import LiveSite
from tests.site_fixtures import PASSWORD, make_person, signed_in

ROLES = ["owner", "admin", "member", "guest"]
MAY = {"owner": {"owner", "admin", "member", "guest"}, "admin": {"admin", "member", "guest"}}
PAGE = {"headers": {"accept": "text/html"}}


def enter(person: User) -> Client:
    client = Client()
    assert client.post("/sign-in", {"email": person.email, "password": PASSWORD}).status_code == 302
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("keeper_role", ROLES)
@pytest.mark.parametrize("old", ROLES)
@pytest.mark.parametrize("new", ROLES)
def test_who_may_change_whose_role_to_what(keeper_role: str, old: str, new: str) -> None:
    make_person("Olga", Role.OWNER)
    keeper, person = make_person("Keeper", Role(keeper_role)), make_person("Person", Role(old))
    allowed = MAY.get(keeper_role, set())
    if old in allowed and new in allowed:
        standing.change_role(keeper, person.pk, new)
    else:
        with pytest.raises(ChatError):
            standing.change_role(keeper, person.pk, new)
    assert User.objects.get(pk=person.pk).role == (new if {old, new} <= allowed else old)


@pytest.mark.django_db
def test_a_role_that_does_not_exist_is_refused(owner: User, member: User) -> None:
    with pytest.raises(Invalid):
        standing.change_role(owner, member.pk, "captain")


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.MEMBER, Role.GUEST])
def test_to_whoever_keeps_no_team_nobody_is_there(role: Role, outsider: User) -> None:
    keeper = make_person("Mona", role)
    for act in (standing.suspend, standing.reactivate, read_person):
        with pytest.raises(NotFound):
            act(keeper, outsider.pk)


@pytest.mark.django_db
def test_the_last_owner_stays_owner_until_there_is_another(owner: User, outsider: User) -> None:
    with pytest.raises(ChatError) as refused:
        standing.change_role(owner, owner.pk, "member")
    assert refused.value.code == "last_owner"
    standing.change_role(owner, outsider.pk, "owner")
    standing.change_role(owner, owner.pk, "member")
    assert User.objects.get(role=Role.OWNER) == outsider


@pytest.mark.django_db
def test_a_suspended_owner_does_not_count_as_another(owner: User) -> None:
    other = make_person("Otto", Role.OWNER)
    standing.suspend(owner, other.pk)
    with pytest.raises(ChatError) as refused:
        standing.change_role(owner, owner.pk, "admin")
    assert refused.value.code == "last_owner"


@pytest.mark.django_db
def test_nobody_suspends_themselves_and_no_admin_an_owner(owner: User, admin: User) -> None:
    for keeper, person in ((owner, owner), (admin, admin), (admin, owner)):
        with pytest.raises(ChatError):
            standing.suspend(keeper, person.pk)
    assert not User.objects.filter(is_active=False).exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_demote_each_other_at_once_one_stays() -> None:
    one, other = make_person("Olga", Role.OWNER), make_person("Otto", Role.OWNER)
    start = threading.Barrier(2)

    def demote(keeper: User, person: User) -> None:
        start.wait()
        try:
            standing.change_role(keeper, person.pk, "member")
        except ChatError:
            pass
        connection.close()

    threads = [threading.Thread(target=demote, args=pair) for pair in ((one, other), (other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert User.objects.filter(role=Role.OWNER).count() == 1


@pytest.mark.django_db
def test_suspension_ends_every_session_and_the_way_back_needs_a_sign_in(owner: User, member: User) -> None:
    clients = [enter(member), enter(member)]
    assert all(client.get("/account", **PAGE).status_code == 200 for client in clients)
    standing.suspend(owner, member.pk)
    assert all(client.get("/account", **PAGE).status_code == 302 for client in clients)
    assert not Session.objects.exists()
    assert Client().post("/sign-in", {"email": member.email, "password": PASSWORD}).status_code == 200
    standing.reactivate(owner, member.pk)
    assert all(client.get("/account", **PAGE).status_code == 302 for client in clients)
    enter(member)


@pytest.mark.django_db
def test_suspension_calls_off_what_is_being_answered(
    owner: User, member: User, conversation: Conversation, endpoint: Endpoint
) -> None:
    reply = Message.objects.create(conversation=conversation, role="assistant")
    answer = Answer.objects.create(message=reply, asked_by=member, client_id=uuid4(), seed=1, endpoint=endpoint)
    standing.suspend(owner, member.pk)
    answer.refresh_from_db()
    assert answer.status == Status.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_suspension_closes_open_sockets_at_once(live_site: LiveSite, owner: User, member: User) -> None:
    with live_site.tab(member) as tab, live_site.tab(owner) as other:
        tab.send("ping")
        tab.receive_until("pong")
        standing.suspend(owner, member.pk)
        assert tab.close_code(timeout_s=2.5) == CLOSE_SIGNED_OUT, "by its bell: a look comes only every five seconds"
        other.send("ping")
        assert other.receive_until("pong")


@pytest.mark.django_db(transaction=True)
def test_signing_out_everywhere_else_closes_sockets_there_at_once(live_site: LiveSite, member: User) -> None:
    here, there = enter(member), enter(member)
    with live_site.tab_of_session(there.cookies["sessionid"].value) as tab:
        tab.send("ping")
        tab.receive_until("pong")
        here.post("/account/sessions/end", {"others": "1"})
        assert tab.close_code(timeout_s=2.5) == CLOSE_SIGNED_OUT
    assert here.get("/account", **PAGE).status_code == 200


@pytest.mark.django_db
def test_pages_say_what_was_done_and_why_not(owner: User, member: User) -> None:
    client = signed_in(owner)
    page = client.post(f"/people/{member.pk}/suspend", follow=True, **PAGE).content.decode()
    assert "Mario is suspended and signed out everywhere." in page
    assert "Let in again" in page
    page = client.post(f"/people/{owner.pk}/role", {"role": "guest"}, follow=True, **PAGE).content.decode()
    assert "This is the only owner." in page
    refused = client.post(f"/people/{owner.pk}/suspend", headers={"accept": "application/json"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "yourself")


@pytest.mark.django_db
def test_an_admin_sees_an_owner_and_no_way_to_change_them(owner: User, admin: User) -> None:
    page = signed_in(admin).get(f"/people/{owner.pk}", **PAGE).content.decode()
    assert owner.email in page
    assert "Only an owner may change an owner." in page
    assert "/suspend" not in page


@pytest.mark.django_db
def test_an_admin_who_steps_down_is_led_out_of_the_team_pages(admin: User) -> None:
    client = signed_in(admin)
    response = client.post(f"/people/{admin.pk}/role", {"role": "member"}, **PAGE)
    assert response.headers["Location"] == "/"
    assert client.get("/people", **PAGE).status_code == 404


@pytest.mark.django_db
def test_list_finds_by_name_and_address(owner: User, member: User, outsider: User) -> None:
    client = signed_in(owner)
    for query in ("mario", "MARIO@example"):
        page = client.get("/people", {"q": query}, **PAGE).content.decode()
        assert member.email in page
        assert outsider.email not in page
    assert "Nobody was found." in client.get("/people", {"q": "nobody"}, **PAGE).content.decode()
