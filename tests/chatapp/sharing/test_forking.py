"""A copy stands by itself, and brings along what its reader may have."""

from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.answers import services
from chatapp.answers.models import Answer, Status
from chatapp.conversations.access import may
from chatapp.conversations.models import Conversation, Message
from chatapp.conversations.selectors import read_thread
from chatapp.endpoints.models import Endpoint
from chatapp.errors import NotFound
from chatapp.evidence.models import Check, Evidence
from chatapp.files.models import Attachment
from chatapp.sharing.forking import fork
from tests.file_fixtures import give
from tests.site_fixtures import signed_in

pytestmark = pytest.mark.django_db


def say(
    conversation: Conversation, question: str, answer: str, parent: Message | None = None, **facts: object
) -> Answer:
    asked = conversation.messages.create(parent=parent, role="user", author=conversation.owner, text=question)
    reply = conversation.messages.create(parent=asked, role="assistant", text=answer)
    state = {"status": Status.FINISHED, "ended_at": timezone.now(), "prompt_tokens": 100, "completion_tokens": 10}
    made = Answer.objects.create(
        message=reply, asked_by=conversation.owner, client_id=uuid4(), seed=7, **{**state, **facts}
    )
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=reply)
    return made


@pytest.fixture
def talk(conversation: Conversation, outsider: User) -> Answer:
    """Two turns, shared with the outsider; returns the first answer."""
    first = say(conversation, "High tide?", "At noon [1].", reasoning="Let me see.", model_name="scripted")
    say(conversation, "And low?", "At six.", parent=first.message)
    conversation.grants.create(user=outsider, access="read")
    return first


def texts(viewer: User, conversation: Conversation) -> list[str]:
    return [item.message.text for item in read_thread(viewer, conversation.pk).items]


def test_a_reader_gets_a_conversation_of_their_own(
    conversation: Conversation, outsider: User, talk: Answer, endpoint: Endpoint
) -> None:
    copy = fork(outsider, conversation.pk)
    assert copy.owner == outsider and copy.title == "Tides"
    assert texts(outsider, copy) == ["High tide?", "At noon [1].", "And low?", "At six."]
    item = read_thread(outsider, copy.pk).items[1]
    assert item.answer is not None
    assert (item.answer.status, item.answer.reasoning, item.answer.model_name) == (
        "finished",
        "Let me see.",
        "scripted",
    )
    assert item.answer.prompt_tokens is None, "nobody is charged for it twice"
    conversation.grants.all().delete()
    assert may(outsider, copy.pk) and not may(outsider, conversation.pk)
    leaf = read_thread(outsider, copy.pk).items[-1].message
    services.send_message(outsider, client_id=uuid4(), text="Go on.", conversation_id=copy.pk, parent_id=leaf.pk)
    assert conversation.messages.count() == 4


def test_who_may_not_read_it_does_not_copy_it(conversation: Conversation, outsider: User) -> None:
    say(conversation, "High tide?", "At noon.")
    with pytest.raises(NotFound):
        fork(outsider, conversation.pk)
    assert Conversation.objects.count() == 1


def test_only_the_shown_branch_is_copied(conversation: Conversation, member: User) -> None:
    first = say(conversation, "High tide?", "At noon.")
    say(conversation, "High tide, please?", "At one.")
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=first.message)
    assert texts(member, fork(member, conversation.pk)) == ["High tide?", "At noon."]


@pytest.mark.parametrize("state", [Status.QUEUED, Status.RUNNING])
def test_what_is_still_being_answered_is_left_out(conversation: Conversation, member: User, state: Status) -> None:
    first = say(conversation, "High tide?", "At noon.")
    say(conversation, "And low?", "At s", parent=first.message, status=state, ended_at=None)
    assert texts(member, fork(member, conversation.pk)) == ["High tide?", "At noon."]


def test_sources_and_checks_lead_to_the_same_passages(
    conversation: Conversation, outsider: User, talk: Answer, file_store: Path
) -> None:
    upload = give(conversation.owner)
    Attachment.objects.create(message=talk.message.parent, upload=upload, position=0, name=upload.name)
    place = {"kind": "lines", "first": 1, "last": 1}
    source = {"source_id": upload.reading_id, "source_sha256": upload.blob_id, "name": upload.name, "place": place}
    evidence = Evidence.objects.create(answer=talk, number=1, upload=upload, **source)
    Check.objects.create(answer=talk, start=0, end=12, numbers=[1], verdict="supported", evidence=evidence)
    copy = fork(outsider, conversation.pk)
    copied = Evidence.objects.get(answer__message__conversation=copy)
    assert (copied.number, copied.source_id, copied.upload) == (1, evidence.source_id, upload)
    assert Check.objects.get(answer=copied.answer).evidence == copied
    assert Attachment.objects.get(message__conversation=copy).upload == upload
    assert Evidence.objects.get(answer=talk).pk == evidence.pk


def test_copying_by_the_page(conversation: Conversation, outsider: User, talk: Answer) -> None:
    client = signed_in(outsider)
    page = client.get(f"/c/{conversation.pk}", headers={"accept": "text/html"}).content.decode()
    assert f'action="/c/{conversation.pk}/fork"' in page
    response = client.post(f"/c/{conversation.pk}/fork", headers={"accept": "text/html"})
    copy = Conversation.objects.get(owner=outsider)
    assert response.headers["Location"] == f"/c/{copy.pk}"
    assert "At six." in client.get(response.headers["Location"], headers={"accept": "text/html"}).content.decode()


def test_an_empty_conversation_is_copied_empty(conversation: Conversation, member: User) -> None:
    assert texts(member, fork(member, conversation.pk)) == []
