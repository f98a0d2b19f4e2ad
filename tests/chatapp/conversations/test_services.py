"""Rename, delete and its undo."""

from uuid import uuid4

import pytest

from chatapp.accounts.models import User
from chatapp.answers.models import Answer, Status
from chatapp.answers.services import send_message
from chatapp.conversations.access import may
from chatapp.conversations.models import Conversation, Grant
from chatapp.conversations.services import delete, rename, restore, set_title
from chatapp.endpoints.models import Endpoint
from chatapp.errors import Invalid, NotFound
from ops.services import Services

pytestmark = pytest.mark.django_db(transaction=True)


def test_renamed_by_a_person_stays_so(member: User, conversation: Conversation) -> None:
    assert rename(member, conversation.pk, "  High \n water ").title == "High water"
    set_title(Conversation.objects.get(), "A model's idea", Conversation.TitleSource.MODEL)
    stored = Conversation.objects.get()
    assert (stored.title, stored.title_source) == ("High water", Conversation.TitleSource.PERSON)


@pytest.mark.parametrize("title", ["", "  ", "\0", "x" * 201])
def test_title_has_limits(member: User, conversation: Conversation, title: str) -> None:
    with pytest.raises(Invalid) as refusal:
        rename(member, conversation.pk, title)
    assert refusal.value.field == "title" and "200" in refusal.value.message


def test_rename_needs_write_and_delete_needs_the_owner(
    member: User, outsider: User, conversation: Conversation
) -> None:
    with pytest.raises(NotFound):
        rename(outsider, conversation.pk, "Mine now")
    Grant.objects.create(conversation=conversation, user=outsider, access="write")
    assert rename(outsider, conversation.pk, "Ours now").title == "Ours now"
    for forbidden in (delete, restore):
        with pytest.raises(NotFound):
            forbidden(outsider, conversation.pk)
    assert may(member, conversation.pk)


def test_delete_is_undone_by_restore(member: User, conversation: Conversation) -> None:
    delete(member, conversation.pk)
    delete(member, conversation.pk)
    assert not may(member, conversation.pk)
    with pytest.raises(NotFound):
        rename(member, conversation.pk, "Gone")
    restore(member, conversation.pk)
    assert may(member, conversation.pk)


def test_delete_calls_off_what_is_still_asked(member: User, endpoint: Endpoint, services: Services) -> None:
    accepted = send_message(member, client_id=uuid4(), text="When?")
    delete(member, accepted.conversation_id)
    assert Answer.objects.get().status == Status.CANCELLED
