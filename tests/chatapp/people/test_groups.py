"""Groups: made, renamed, filled and deleted; and that what is shared with them follows at once."""

import pytest

from chatapp.accounts.models import Group, User
from chatapp.conversations.access import may
from chatapp.conversations.models import Conversation
from chatapp.errors import Invalid, NotFound
from chatapp.people import groups
from tests.live_site import LiveSite
from tests.site_fixtures import signed_in

PAGE = {"headers": {"accept": "text/html"}}


@pytest.mark.django_db
def test_group_is_made_renamed_and_filled(admin: User, outsider: User, conversation: Conversation) -> None:
    group = groups.make(admin, "  Deck \n crew ")
    assert group.name == "Deck crew"
    assert groups.rename(admin, group.pk, "Pilots").name == "Pilots"
    conversation.grants.create(group=group, access="read")
    assert not may(outsider, conversation.pk)
    groups.add_member(admin, group.pk, outsider.pk)
    groups.add_member(admin, group.pk, outsider.pk)
    assert may(outsider, conversation.pk)
    groups.remove_member(admin, group.pk, outsider.pk)
    assert not may(outsider, conversation.pk)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "Pilots"])
def test_refused_names(admin: User, name: str) -> None:
    groups.make(admin, "Pilots")
    with pytest.raises(Invalid):
        groups.make(admin, name)
    assert Group.objects.count() == 1


@pytest.mark.django_db
def test_to_a_member_no_group_is_there(member: User, outsider: User) -> None:
    group = Group.objects.create(name="Pilots")
    for act in (
        lambda: groups.make(member, "Deck"),
        lambda: groups.rename(member, group.pk, "Deck"),
        lambda: groups.add_member(member, group.pk, member.pk),
        lambda: groups.remove_member(member, group.pk, outsider.pk),
        lambda: groups.delete(member, group.pk),
    ):
        with pytest.raises(NotFound):
            act()
    assert list(Group.objects.values_list("name", flat=True)) == ["Pilots"]


@pytest.mark.django_db
def test_deleting_a_group_ends_what_was_shared_with_it(admin: User, outsider: User, conversation: Conversation) -> None:
    group = groups.make(admin, "Pilots")
    groups.add_member(admin, group.pk, outsider.pk)
    conversation.grants.create(group=group, access="write")
    assert may(outsider, conversation.pk)
    groups.delete(admin, group.pk)
    assert not may(outsider, conversation.pk)
    assert not conversation.grants.exists()


@pytest.mark.django_db(transaction=True)
def test_who_is_taken_out_of_a_group_stops_hearing_at_once(
    live_site: LiveSite, admin: User, outsider: User, conversation: Conversation
) -> None:
    group = groups.make(admin, "Pilots")
    groups.add_member(admin, group.pk, outsider.pk)
    conversation.grants.create(group=group, access="read")
    with live_site.tab(outsider) as tab:
        tab.follow(conversation.pk)
        assert tab.receive_until("snapshot")["title"] == "Tides"
        groups.remove_member(admin, group.pk, outsider.pk)
        assert tab.receive_until("ended", timeout_s=2.5)["conversation"] == str(conversation.pk)


@pytest.mark.django_db
def test_pages_of_a_group(admin: User, outsider: User) -> None:
    client = signed_in(admin)
    client.post("/people/groups", {"name": "Pilots"}, **PAGE)
    path = f"/people/groups/{Group.objects.get().pk}"
    assert "Nobody yet." in client.get(path, **PAGE).content.decode()
    client.post(f"{path}/add", {"person": outsider.pk}, **PAGE)
    page = client.get(path, **PAGE).content.decode()
    assert outsider.email in page
    assert "Nobody yet." not in page
    again = client.post("/people/groups", {"name": "Pilots"}, follow=True, **PAGE).content.decode()
    assert "There is a group of this name already." in again
