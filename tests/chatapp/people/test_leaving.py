"""Leaving and being removed: what was theirs is somebody else's, or gone, and nobody can come in as them."""

from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from chatapp.accounts.models import Role, User
from chatapp.conversations.access import may
from chatapp.conversations.models import Conversation, Message
from chatapp.errors import ChatError, Invalid
from chatapp.files.access import readable
from chatapp.files.models import Attachment, Collection
from chatapp.people import leaving
from chatapp.people.belongings import belongings_of
from tests.file_fixtures import LINE, collect, files_below, give, make_collection
from tests.site_fixtures import PASSWORD, make_person, signed_in
from uploads import services
from uploads.models import Upload

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = {"headers": {"accept": "text/html"}}


@pytest.fixture
def things(member: User, conversation: Conversation, file_store: Path) -> dict[str, Upload]:
    """The member has one chat with a file, one that they have deleted, a collection with a file, and half an upload."""
    in_chat, in_collection = give(member, LINE, "chat.txt"), give(member, b"A bell of bronze.\n", "collection.txt")
    question = Message.objects.create(conversation=conversation, role="user", author=member, text="High tide?")
    Attachment.objects.create(message=question, upload=in_chat, position=0, name=in_chat.name)
    collect(make_collection(member, "Harbour"), in_collection)
    services.begin(member.pk, "half.txt", 100)
    Conversation.objects.create(owner=member, title="Deleted", deleted_at=timezone.now())
    return {"chat": in_chat, "collection": in_collection}


def test_everything_goes_to_the_heir_and_the_account_is_gone(
    owner: User, member: User, outsider: User, things: dict[str, Upload], conversation: Conversation, file_store: Path
) -> None:
    conversation.grants.create(user=outsider, access="read")
    before = files_below(file_store / "uploads")
    leaving.remove(owner, member.pk, outsider.pk)
    assert not User.objects.filter(pk=member.pk).exists()
    conversation.refresh_from_db()
    assert conversation.owner == outsider
    assert not conversation.grants.exists()
    assert Collection.objects.get().owner == outsider
    assert set(Upload.objects.values_list("name", "owner")) == {
        ("chat.txt", outsider.pk), ("collection.txt", outsider.pk)
    }  # fmt: skip
    assert readable(outsider).count() == 2
    assert files_below(file_store / "uploads") == before
    assert not Conversation.objects.filter(title="Deleted").exists(), "what they had deleted is nobody's to inherit"
    assert Message.objects.get().text == "High tide?"


def test_without_an_heir_everything_is_deleted_with_its_bytes(
    owner: User, member: User, things: dict[str, Upload], file_store: Path
) -> None:
    assert len(files_below(file_store / "uploads")) == 2
    leaving.remove(owner, member.pk, None)
    assert not User.objects.filter(pk=member.pk).exists()
    assert not Conversation.objects.exists()
    assert not Collection.objects.exists()
    assert not Upload.objects.exists()
    assert files_below(file_store) == []


def test_what_others_have_of_them_stays_with_the_others(
    owner: User, member: User, outsider: User, file_store: Path
) -> None:
    theirs = Conversation.objects.create(owner=outsider)
    asked, held = give(member, LINE, "asked.txt"), give(member, b"Held.\n", "held.txt")
    give(member, b"Only theirs.\n", "own.txt")
    question = Message.objects.create(conversation=theirs, role="user", author=member, text="High tide?")
    Attachment.objects.create(message=question, upload=asked, position=0, name=asked.name)
    collect(make_collection(outsider, "Harbour"), held)
    leaving.remove(owner, member.pk, None)
    assert set(Upload.objects.values_list("name", "owner__name")) == {("asked.txt", "Oskar"), ("held.txt", "Oskar")}
    question.refresh_from_db()
    assert (question.text, question.author) == ("High tide?", None)


def test_belongings_are_counted_without_rubbish(member: User, things: dict[str, Upload]) -> None:
    owned = belongings_of(member)
    assert (owned.num_conversations, owned.num_collections, owned.num_files) == (1, 1, 2)
    assert owned.size_bytes == len(LINE) + len(b"A bell of bronze.\n")


def test_their_sessions_are_over_and_their_password_opens_nothing(owner: User, member: User, outsider: User) -> None:
    client = Client()
    client.post("/sign-in", {"email": member.email, "password": PASSWORD})
    assert client.get("/account", **PAGE).status_code == 200
    leaving.remove(owner, member.pk, outsider.pk)
    assert client.get("/account", **PAGE).status_code == 302
    assert not Session.objects.exists()
    assert Client().post("/sign-in", {"email": member.email, "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize("who", ["suspended", "guest", "nobody", "themselves"])
def test_who_cannot_inherit(owner: User, member: User, who: str) -> None:
    other = make_person("Gina", Role.GUEST if who == "guest" else Role.MEMBER)
    User.objects.filter(pk=other.pk).update(is_active=who != "suspended")
    heir = {"nobody": uuid4(), "themselves": member.pk}.get(who, other.pk)
    with pytest.raises(Invalid):
        leaving.remove(owner, member.pk, heir)
    assert User.objects.get(pk=member.pk).is_active, "nothing has happened"


def test_last_owner_neither_leaves_nor_is_removed_and_an_admin_removes_no_owner(owner: User, admin: User) -> None:
    with pytest.raises(ChatError) as refused:
        leaving.leave(owner, admin.pk)
    assert refused.value.code == "last_owner"
    with pytest.raises(ChatError):
        leaving.remove(admin, owner.pk, admin.pk)
    other = make_person("Otto", Role.OWNER)
    leaving.leave(owner, admin.pk)
    assert User.objects.get(role=Role.OWNER) == other


def test_a_person_leaves_by_the_page_with_their_password(
    member: User, outsider: User, conversation: Conversation, file_store: Path
) -> None:
    client = signed_in(member)
    page = client.get("/account/leave", **PAGE).content.decode()
    assert "1 chat " in page and f"goes to Oskar ({outsider.email})" in page
    wrong = client.post("/account/leave", {"heir": str(outsider.pk), "password": "guess"}, **PAGE)
    assert wrong.status_code == 422
    assert client.post("/account/leave", {"password": PASSWORD}, **PAGE).status_code == 422, "nothing was chosen"
    assert may(member, conversation.pk)
    fields = {"heir": str(outsider.pk), "password": PASSWORD}
    left = client.post("/account/leave", fields, follow=True, **PAGE)
    assert "You have left. Your account is deleted." in left.content.decode()
    assert may(outsider, conversation.pk)
    assert not User.objects.filter(pk=member.pk).exists()


def test_a_guest_is_shown_nobody_to_choose(outsider: User) -> None:
    guest = make_person("Gina", Role.GUEST)
    client = signed_in(guest)
    assert outsider.email not in client.get("/account/leave", **PAGE).content.decode()
    refused = client.post("/account/leave", {"heir": str(outsider.pk), "password": PASSWORD}, **PAGE)
    assert refused.status_code == 422
    assert client.post("/account/leave", {"heir": "delete", "password": PASSWORD}, **PAGE).status_code == 302


def test_person_without_a_password_confirms_with_their_email(outsider: User) -> None:
    person = User(name="Sam", email="sam@example.org")
    person.set_unusable_password()
    person.save()
    client = signed_in(person)
    assert client.post("/account/leave", {"heir": "delete", "email": "other@example.org"}, **PAGE).status_code == 422
    assert client.post("/account/leave", {"heir": "delete", "email": "Sam@example.org"}, **PAGE).status_code == 302
    assert not User.objects.filter(pk=person.pk).exists()
