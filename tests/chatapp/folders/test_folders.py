"""Folders: what they give to questions, to whom, and what they open to nobody."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.answers.foresight import Asked, foresee
from chatapp.answers.services import replay_answer, send_message
from chatapp.conversations.models import Conversation
from chatapp.conversations.selectors import sidebar
from chatapp.endpoints.models import Endpoint
from chatapp.errors import Invalid, NotFound
from chatapp.files import collecting
from chatapp.folders import services
from chatapp.folders.access import folders
from chatapp.folders.models import Folder
from chatapp.people import belongings
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import ended, play, running
from tests.chatapp.answers.test_collections import SECRET, make_harbour
from tests.chatapp.answers.test_files import PIER, make_file
from tests.scripted_endpoint import ScriptedEndpoint
from tests.site_fixtures import signed_in

INSTRUCTIONS = "Answer like a pilot."


def make_folder(person: User, name: str = "Harbour", instructions: str = INSTRUCTIONS) -> Folder:
    folder = services.create(person, name)
    services.change(person, folder.pk, name, instructions)
    return Folder.objects.get(pk=folder.pk)


def listed(person: User) -> list[UUID]:
    return [each.pk for group in sidebar(person) for each in group.conversations]


def system_of_request(body: dict[str, Any]) -> str:
    assert body["messages"][0]["role"] == "system"
    return str(body["messages"][0]["content"])


@pytest.mark.django_db(transaction=True)
async def test_question_in_a_folder_is_asked_with_its_instructions_and_collections(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    folder = await in_thread(make_folder, member)
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    harbour = await in_thread(make_harbour, member, upload)
    await in_thread(services.add_collection, member, folder.pk, harbour.pk)
    async with running():
        fields = {"client_id": uuid4(), "text": "How long is the pier?"}
        inside = await in_thread(send_message, member, **fields, folder_id=folder.pk)
        await ended(inside.answer_id)
        outside = await in_thread(send_message, member, **{**fields, "client_id": uuid4()})
        await ended(outside.answer_id)
    first, second = scripted.requests
    assert INSTRUCTIONS in system_of_request(first) and SECRET in str(first)
    assert INSTRUCTIONS not in str(second) and SECRET not in str(second)
    told = await in_thread(foresee, member, Asked((), (), inside.conversation_id, None, "How long?"))
    assert told["mode"] == "whole"


@pytest.mark.django_db(transaction=True)
async def test_who_may_not_read_the_folder_asks_in_its_chats_without_it(
    member: User, outsider: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    """The chat is shared with them, the folder is not: neither asking nor replaying lets the model speak by it."""
    await play(endpoint, scripted, "plain")
    folder = await in_thread(make_folder, member)
    async with running():
        asked = await in_thread(
            send_message, member, client_id=uuid4(), text="How long is the pier?", folder_id=folder.pk
        )
        await ended(asked.answer_id)
        conversation = await in_thread(Conversation.objects.get, pk=asked.conversation_id)
        await in_thread(lambda: conversation.grants.create(user=outsider, access="write"))
        below = {"conversation_id": conversation.pk, "parent_id": asked.reply_id}
        theirs = await in_thread(send_message, outsider, client_id=uuid4(), text="And the quay?", **below)
        await ended(theirs.answer_id)
        replayed = await in_thread(replay_answer, outsider, client_id=uuid4(), answer_id=asked.answer_id)
        await ended(replayed.answer_id)
    first, *others = scripted.requests
    assert INSTRUCTIONS in str(first)
    assert len(others) == 2 and all(INSTRUCTIONS not in str(body) for body in others)


@pytest.mark.django_db
def test_a_shared_folder_opens_none_of_its_chats(member: User, outsider: User, conversation: Conversation) -> None:
    folder = make_folder(member)
    Conversation.objects.filter(pk=conversation.pk).update(title="Tides")
    services.put(member, [conversation.pk], folder.pk)
    services.share(member, folder.pk, outsider, Access.READ)
    page = signed_in(outsider).get(f"/folders/{folder.pk}")
    assert page.status_code == 200 and INSTRUCTIONS in page.content.decode()
    assert "Tides" not in page.content.decode()
    assert signed_in(outsider).get(f"/c/{conversation.pk}").status_code == 404


@pytest.mark.django_db
def test_chat_in_a_folder_stands_there_and_not_in_the_list(member: User, conversation: Conversation) -> None:
    folder = make_folder(member)
    assert conversation.pk in listed(member)
    client = signed_in(member)
    assert client.post(f"/folders/{folder.pk}/put", {"ids": str(conversation.pk)}).json() == {"ok": True}
    assert conversation.pk not in listed(member)
    assert f"/c/{conversation.pk}" in client.get(f"/folders/{folder.pk}").content.decode()
    client.post("/folders/take-out", {"ids": str(conversation.pk)})
    assert conversation.pk in listed(member)


@pytest.mark.django_db
def test_reader_of_a_chat_in_somebodys_folder_has_it_in_their_list(
    member: User, outsider: User, conversation: Conversation
) -> None:
    conversation.grants.create(user=outsider, access="read")
    services.put(member, [conversation.pk], make_folder(member).pk)
    assert conversation.pk in listed(outsider)


@pytest.mark.django_db
def test_only_ones_own_chats_go_into_a_folder_and_all_or_none(
    member: User, outsider: User, conversation: Conversation
) -> None:
    folder = make_folder(outsider)
    own = Conversation.objects.create(owner=outsider, title="Own")
    conversation.grants.create(user=outsider, access="write")
    with pytest.raises(NotFound):
        services.put(outsider, [own.pk, conversation.pk], folder.pk)
    assert not folder.conversations.exists()
    with pytest.raises(NotFound):
        services.put(member, [conversation.pk], folder.pk)


@pytest.mark.django_db
def test_deleted_folder_gives_its_chats_back_to_the_list(member: User, conversation: Conversation) -> None:
    folder = make_folder(member)
    services.put(member, [conversation.pk], folder.pk)
    services.delete(member, folder.pk)
    assert conversation.pk in listed(member)


@pytest.mark.django_db
def test_whose_share_has_ended_has_their_chats_in_the_list_again(member: User, outsider: User) -> None:
    folder = make_folder(member)
    services.share(member, folder.pk, outsider, Access.WRITE)
    own = Conversation.objects.create(owner=outsider, title="Own")
    services.put(outsider, [own.pk], folder.pk)
    assert own.pk not in listed(outsider)
    services.end_share(member, folder.pk, folder.grants.get().pk)
    assert own.pk in listed(outsider)


@pytest.mark.django_db
def test_writer_cannot_add_a_collection_that_they_may_not_read(
    member: User, outsider: User, endpoint: Endpoint
) -> None:
    folder = make_folder(member)
    services.share(member, folder.pk, outsider, Access.WRITE)
    harbour = collecting.create(member, "Quay")
    with pytest.raises(NotFound):
        services.add_collection(outsider, folder.pk, harbour.pk)
    services.add_collection(member, folder.pk, harbour.pk)
    page = signed_in(outsider).get(f"/folders/{folder.pk}").content.decode()
    assert "A collection that is not shared with you" in page and "Quay" not in page


@pytest.mark.django_db
def test_instructions_have_a_limit_that_is_said(member: User) -> None:
    folder = make_folder(member)
    with pytest.raises(Invalid, match="instructions|invalid"):
        services.change(member, folder.pk, "Harbour", "x" * (services.MAX_INSTRUCTIONS + 1))
    refused = signed_in(member).post(
        f"/folders/{folder.pk}/change",
        {"name": "Harbour", "instructions": "x" * (services.MAX_INSTRUCTIONS + 1)},
        headers={"accept": "text/html"},
    )
    assert refused.status_code == 422
    assert Folder.objects.get().instructions == INSTRUCTIONS


@pytest.mark.django_db
def test_folders_go_to_the_heir_of_who_leaves(member: User, outsider: User) -> None:
    folder = make_folder(member)
    services.share(member, folder.pk, outsider, Access.READ)
    belongings.hand_over(member, outsider)
    assert folders(outsider).get().owner_id == outsider.pk
    assert not folder.grants.exists()


@pytest.mark.django_db
def test_question_into_a_folder_that_is_not_shared_begins_no_chat(
    member: User, outsider: User, endpoint: Endpoint
) -> None:
    folder = make_folder(member)
    with pytest.raises(Invalid) as refused:
        send_message(outsider, client_id=uuid4(), text="How long?", folder_id=folder.pk)
    assert (refused.value.code, refused.value.field) == ("not_found", "folder")
    assert not Conversation.objects.filter(owner=outsider).exists()


@pytest.mark.django_db
def test_anonymous_sees_no_folder(member: User) -> None:
    assert Client().get(f"/folders/{make_folder(member).pk}").status_code == 401
