"""One of every thing that a route or a frame names, all of them the owner's, and what is secret about them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from chatapp.accounts.models import Group, Passkey, Role, SignIn, User
from chatapp.answers.models import Answer, Status
from chatapp.conversations import temporary
from chatapp.conversations.models import Conversation, Message
from chatapp.endpoints.models import Endpoint
from chatapp.evidence.models import Evidence
from chatapp.exports.models import Archive
from chatapp.files.models import Attachment
from chatapp.folders.models import Folder
from chatapp.people.models import Invitation
from chatapp.presets.models import Preset
from chatapp.programs.models import ApiKey
from chatapp.searches.models import Search, SiteIcon, WebPage
from chatapp.sharing.models import PublicLink
from tests.chatapp.everybody.people import OUTSIDER, READER, WRITER, make_everybody, share_conversation
from tests.file_fixtures import collect, give, make_collection
from tests.site_fixtures import PASSWORD, make_person, signed_in
from tests.soft_key import SoftKey

# In the name or the text of everything that is not everybody's. Whoever is let in nowhere never sees it.
SECRET = "Kraken"


@dataclass(frozen=True, slots=True)
class Things:
    """`values` are the ids by the names that routes give them; `people` are those of a table, `sessions` their keys."""

    values: Mapping[str, Any]
    people: Mapping[str, User]
    sessions: Mapping[str, str]

    def fill(self, template: Any) -> Any:
        """`{conversation_id}` and the like in the fields of a row."""
        if not isinstance(template, str):
            return template
        return re.sub(r"\{(\w+)\}", lambda match: str(self.values[match[1]]), template)


def make_things(owner: User) -> Things:
    people = make_everybody(owner)
    endpoint = Endpoint.objects.create(
        name="Scripted",
        base_url="http://127.0.0.1:9/v1",
        model="scripted",
        is_default=True,
        context_length=4096,
        thinking=Endpoint.Thinking.SWITCHED,
    )
    conversation = Conversation.objects.create(owner=owner, title=f"{SECRET} tides")
    share_conversation(conversation, people)
    values = _chat(conversation, endpoint) | _files(conversation, people) | _web(conversation)
    values |= _kept(conversation, people)
    values |= _team(people) | _door(owner, conversation)
    values |= {"key_id": _key(owner).pk, "name": "scripted", "rest": "images"}
    values |= {"conversation_id": conversation.pk, "endpoint_id": endpoint.pk, "language": "de", "password": PASSWORD}
    return Things(values, people, {name: session_of(person) for name, person in people.items()})


def session_of(person: User) -> str:
    key: str = signed_in(person).session.session_key
    return key


def _chat(conversation: Conversation, endpoint: Endpoint) -> dict[str, Any]:
    """Its last answer was cut: it can be continued, replayed, called off, and asked for again."""
    owner = conversation.owner
    question = conversation.messages.create(role=Message.Role.USER, author=owner, text=f"Where is the {SECRET}?")
    reply = conversation.messages.create(parent=question, role=Message.Role.ASSISTANT, text=f"The {SECRET} sleeps.")
    answer = Answer.objects.create(
        message=reply,
        asked_by=owner,
        client_id=uuid4(),
        seed=1,
        endpoint=endpoint,
        status=Status.FINISHED,
        finish_reason="length",
        ended_at=timezone.now(),
    )
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=reply)
    return {"question_id": question.pk, "message_id": reply.pk, "answer_id": answer.pk}


def _files(conversation: Conversation, people: Mapping[str, User]) -> dict[str, Any]:
    """A file in the chat and in a collection; one of its own that is still under way."""
    from uploads import services

    owner = conversation.owner
    question = conversation.messages.get(role=Message.Role.USER)
    answer = Answer.objects.get(message__conversation=conversation)
    upload = give(owner, b"The Kraken sleeps below.\n", f"{SECRET}.txt")
    Attachment.objects.create(message=question, upload=upload, position=0, name=upload.name)
    collection = make_collection(owner, f"{SECRET} files")
    collect(collection, upload)
    collection.grants.create(user=people[WRITER], access="write")
    collection_grant = collection.grants.create(user=people[READER], access="read")
    place = {"kind": "lines", "first": 1, "last": 1}
    source = {"source_id": upload.reading_id, "source_sha256": upload.blob_id, "name": upload.name, "place": place}
    evidence = Evidence.objects.create(answer=answer, number=1, upload=upload, **source)
    return {
        "upload_id": upload.pk,
        "unfinished_id": services.begin(owner.pk, f"{SECRET}-2.txt", 4).pk,
        "collection_id": collection.pk,
        "collection_grant": collection_grant.pk,
        "evidence_id": evidence.pk,
    }


def _kept(conversation: Conversation, people: Mapping[str, User]) -> dict[str, Any]:
    """The folder of the chat, a preset, and a temporary chat, which is shared with nobody."""
    owner = conversation.owner
    folder = Folder.objects.create(owner=owner, name=f"{SECRET} folder", instructions=f"Mind the {SECRET}.")
    preset = Preset.objects.create(owner=owner, name=f"{SECRET} preset", system_prompt=f"Mind the {SECRET}.")
    collection = owner.collections.get()
    folder.collections.create(collection=collection)
    preset.collections.add(collection)
    values: dict[str, Any] = {"folder_id": folder.pk, "preset_id": preset.pk}
    for name, thing in (("folder", folder), ("preset", preset)):
        thing.grants.create(user=people[WRITER], access="write")
        values[f"{name}_grant"] = thing.grants.create(user=people[READER], access="read").pk
    Conversation.objects.filter(pk=conversation.pk).update(folder=folder)
    return values | {"temporary_id": temporary.begin(owner).pk, "archive_id": _archive(owner).pk}


def _archive(owner: User) -> Archive:
    """Made already; another can be asked for."""
    archive = Archive.objects.create(owner=owner, state="ready", expires_at=timezone.now() + timedelta(days=1))
    storages["exports"].save(archive.key, ContentFile(b"PK"))
    return archive


def _key(owner: User) -> ApiKey:
    """Of a program of the owner's; who looks after the team knows its name."""
    return ApiKey.objects.create(
        owner=owner, name="Reports", prefix="sk-sonde-1", key_hash="0" * 64, abilities=["chat"]
    )


def _web(conversation: Conversation) -> dict[str, Any]:
    """A search that waits for the owner's word, with a page that it has read."""
    answer = Answer.objects.get(message__conversation=conversation)
    search = Search.objects.create(
        answer=answer,
        ordinal=1,
        question=f"{SECRET}?",
        queries=[f"{SECRET} tide"],
        state="proposed",
        deadline=timezone.now() + timedelta(hours=1),
    )
    url = f"https://tides.example/{SECRET}"
    page = WebPage.objects.create(search=search, ordinal=1, url=url, sha256="0" * 64, blocks=[])
    SiteIcon.objects.create(host="tides.example", png=b"\x89PNG")
    return {"search_id": search.pk, "page_id": page.pk, "host": "tides.example"}


def _team(people: Mapping[str, User]) -> dict[str, Any]:
    """A person whom the keepers look after, and a group that this person is in."""
    person = make_person("Petra")
    group = Group.objects.create(name="Pilots")
    group.members.add(person)
    invitation = Invitation.objects.create(
        token_hash=sha256(b"guess").hexdigest(),
        role=Role.MEMBER,
        made_by=people["admin"],
        max_uses=9,
        expires_at=timezone.now() + timedelta(days=1),
    )
    return {
        "person_id": person.pk,
        "group_id": group.pk,
        "invitation_id": invitation.pk,
        "outsider_id": people[OUTSIDER].pk,
    }


def _door(owner: User, conversation: Conversation) -> dict[str, Any]:
    """A passkey, another session of the owner's, and a link that opens to everybody what was said."""
    key = SoftKey()
    passkey = Passkey.objects.create(
        user=owner, name=SECRET, credential_id=key.credential_id, public_data=key.public_data, sign_count=0
    )
    link = PublicLink.objects.create(
        token_hash=sha256(b"guess").hexdigest(),
        conversation=conversation,
        made_by=owner,
        messages=[{"role": "user", "text": "Where?"}],
        expires_at=timezone.now() + timedelta(days=1),
    )
    elsewhere = SignIn.objects.create(session_id=session_of(owner), user=owner)
    return {
        "passkey_id": passkey.pk,
        "link_id": link.pk,
        "token": "guess",
        "session": elsewhere.pk,
        "grant": conversation.grants.get(access="read").pk,
    }
