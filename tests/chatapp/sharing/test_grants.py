"""Sharing in the team: the owner's alone, seen at once, and over at once."""

from typing import Any

import pytest

from chatapp.accounts.grants import Access
from chatapp.accounts.models import Group, Role, User
from chatapp.accounts.principals import rows_of
from chatapp.conversations.access import may
from chatapp.conversations.models import Conversation
from chatapp.errors import NotFound
from chatapp.sharing import grants
from tests.live_site import LiveSite
from tests.site_fixtures import make_person, signed_in

PAGE = {"headers": {"accept": "text/html"}}


@pytest.mark.django_db
def test_share_with_a_person_a_group_and_everyone(member: User, outsider: User, conversation: Conversation) -> None:
    guest, pilot = make_person("Gina", Role.GUEST), make_person("Pia")
    group = Group.objects.create(name="Pilots")
    group.members.add(pilot)
    assert not any(may(person, conversation.pk) for person in (outsider, guest, pilot))
    grants.share(member, conversation.pk, group, Access.READ)
    assert may(pilot, conversation.pk) and not may(outsider, conversation.pk)
    grants.share(member, conversation.pk, outsider, Access.READ)
    assert not may(outsider, conversation.pk, Access.WRITE)
    grants.share(member, conversation.pk, outsider, Access.WRITE)
    assert may(outsider, conversation.pk, Access.WRITE)
    assert conversation.grants.count() == 2, "in place of what they had"
    grants.share(member, conversation.pk, None, Access.READ)
    assert not may(guest, conversation.pk), "guests are not of the team"
    assert [row.kind for row in rows_of(conversation.grants.all())] == ["everyone", "group", "person"]


@pytest.mark.django_db
@pytest.mark.parametrize("access", [None, "read", "write"])
def test_only_its_owner_shares_it(outsider: User, owner: User, conversation: Conversation, access: Any) -> None:
    if access:
        conversation.grants.create(user=outsider, access=access)
    for person in (outsider, owner):
        for act in (
            lambda person: grants.share(person, conversation.pk, None, Access.WRITE),
            lambda person: (
                grants.end_share(person, conversation.pk, conversation.grants.values_list("pk")[0][0])
                if access
                else grants.get_own(person, conversation.pk)
            ),
        ):
            with pytest.raises(NotFound):
                act(person)
    assert conversation.grants.count() == (1 if access else 0)


@pytest.mark.django_db(transaction=True)
def test_open_page_of_a_share_ends_with_it_and_the_list_is_told(
    live_site: LiveSite, member: User, outsider: User, conversation: Conversation
) -> None:
    with live_site.tab(outsider) as tab:
        tab.send("ping")
        tab.receive_until("pong")
        grant = grants.share(member, conversation.pk, outsider, Access.READ)
        assert tab.receive_until("list_changed", timeout_s=2.5)
        tab.follow(conversation.pk)
        tab.receive_until("snapshot")
        grants.end_share(member, conversation.pk, grant.pk)
        assert tab.receive_until("ended", timeout_s=2.5)


@pytest.mark.django_db
def test_page_of_sharing(member: User, outsider: User, conversation: Conversation) -> None:
    client, path = signed_in(member), f"/c/{conversation.pk}"
    page = client.get(f"{path}/share", **PAGE).content.decode()
    assert "Only you can see this chat." in page and outsider.email in page
    client.post(f"{path}/share", {"principal": f"person:{outsider.pk}", "access": "read"}, **PAGE)
    assert may(outsider, conversation.pk)
    assert "may read" in client.get(f"{path}/share", **PAGE).content.decode()
    client.post(f"{path}/end-share", {"grant": conversation.grants.get().pk}, **PAGE)
    assert not may(outsider, conversation.pk)
    for wrong in ({"principal": "person:x", "access": "read"}, {"principal": "everyone", "access": "own"}):
        assert client.post(f"{path}/share", wrong, headers={"accept": "application/json"}).status_code == 400
    assert not conversation.grants.exists()
