"""Who may do what with a conversation, as a table."""

import pytest

from chatapp.accounts.grants import Access
from chatapp.accounts.models import Group, Role, User
from chatapp.conversations.access import may, owned
from chatapp.conversations.models import Conversation, Grant

pytestmark = pytest.mark.django_db


def rights(viewer: User, conversation: Conversation) -> tuple[bool, bool]:
    return may(viewer, conversation.pk, Access.READ), may(viewer, conversation.pk, Access.WRITE)


def test_owner_may_read_and_write(member: User, conversation: Conversation) -> None:
    assert rights(member, conversation) == (True, True)


def test_nobody_else_may_anything_not_even_the_owner_of_the_site(
    owner: User, outsider: User, conversation: Conversation
) -> None:
    assert rights(outsider, Conversation.objects.create(owner=outsider)) == (True, True), "the outsider exists"
    assert rights(outsider, conversation) == rights(owner, conversation) == (False, False)


@pytest.mark.parametrize(("access", "expected"), [("read", (True, False)), ("write", (True, True))])
@pytest.mark.parametrize("principal", ["person", "group", "everyone"])
def test_grant_gives_what_it_says(
    outsider: User, owner: User, conversation: Conversation, principal: str, access: str, expected: tuple[bool, bool]
) -> None:
    group = Group.objects.create(name="Harbour")
    group.members.add(outsider)
    Grant.objects.create(
        conversation=conversation,
        access=access,
        user=outsider if principal == "person" else None,
        group=group if principal == "group" else None,
        everyone=principal == "everyone",
    )
    assert rights(outsider, conversation) == expected
    assert rights(owner, conversation) == (expected if principal == "everyone" else (False, False))
    if principal == "group":
        group.members.remove(outsider)
        assert rights(outsider, conversation) == (False, False)


def test_everyone_leaves_guests_out(outsider: User, conversation: Conversation) -> None:
    Grant.objects.create(conversation=conversation, everyone=True, access="read")
    assert rights(outsider, conversation) == (True, False)
    outsider.role = Role.GUEST
    assert rights(outsider, conversation) == (False, False)
    Grant.objects.create(conversation=conversation, user=outsider, access="read")
    assert rights(outsider, conversation) == (True, False)


def test_grant_on_another_conversation_gives_nothing_here(
    member: User, outsider: User, conversation: Conversation
) -> None:
    other = Conversation.objects.create(owner=member)
    Grant.objects.create(conversation=other, user=outsider, access="write")
    assert rights(outsider, other) == (True, True)
    assert rights(outsider, conversation) == (False, False)


def test_inactive_people_have_no_rights(member: User, conversation: Conversation) -> None:
    member.is_active = False
    assert rights(member, conversation) == (False, False)
    assert not owned(member).exists()


def test_deleted_conversation_is_nobodys_but_its_owner_can_reach_it(member: User, conversation: Conversation) -> None:
    conversation.deleted_at = conversation.created_at
    conversation.save()
    assert rights(member, conversation) == (False, False)
    assert owned(member).get() == conversation
