"""Temporary chats: in no list, found by nobody, without a title, and gone soon after their page."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.answers.models import Answer, Status
from chatapp.answers.services import send_message
from chatapp.conversations import temporary
from chatapp.conversations.models import Conversation, Message
from chatapp.conversations.selectors import listed_conversations, visible_conversations
from chatapp.conversations.tasks import ask_for_title, remove_temporary
from chatapp.endpoints.models import Endpoint
from chatapp.errors import NotFound
from chatapp.finding.indexing import index_waiting
from chatapp.finding.models import Said, Waiting
from chatapp.sharing import grants
from tests.file_fixtures import give
from tests.site_fixtures import signed_in
from uploads.models import Upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def begun(member: User, endpoint: Endpoint) -> Conversation:
    asked = send_message(member, client_id=uuid4(), text="Where is the Kraken?", is_temporary=True)
    return Conversation.objects.get(pk=asked.conversation_id)


def run_out(conversation: Conversation) -> None:
    Conversation.objects.filter(pk=conversation.pk).update(expires_at=Now() - timedelta(seconds=1))


def presence(person: User, conversation_id: UUID, **fields: str) -> int:
    return signed_in(person).post(f"/c/{conversation_id}/presence", fields).status_code


def test_it_is_in_no_list_and_has_no_title(member: User, begun: Conversation) -> None:
    ordinary = send_message(member, client_id=uuid4(), text="Where is the pier?")
    assert {each.pk for each in listed_conversations(member)} == {ordinary.conversation_id}
    assert {each.pk for each in visible_conversations(member)} == {ordinary.conversation_id}
    assert (begun.title, begun.title_source) == ("", "none")
    assert str(begun.pk) not in signed_in(member).get("/sidebar").content.decode()


def test_no_model_is_asked_for_a_title(member: User, begun: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = Message.objects.get(conversation=begun, role="assistant")
    Answer.objects.filter(message=reply).update(status=Status.FINISHED, ended_at=timezone.now())
    sent: list[object] = []
    monkeypatch.setattr("celery.current_app.send_task", lambda *arguments, **options: sent.append(arguments))
    ask_for_title(begun.pk)
    assert sent == []


def test_it_is_not_found_by_its_words(member: User, begun: Conversation) -> None:
    ordinary = send_message(member, client_id=uuid4(), text="Where is the Kraken now?")
    Message.objects.filter(conversation=begun, role="assistant").update(text="The Kraken sleeps.")
    index_waiting()
    assert not Waiting.objects.exists()
    assert {said.conversation_id for said in Said.objects.all()} == {ordinary.conversation_id}
    assert str(begun.pk) not in signed_in(member).get("/search?q=Kraken").content.decode()


def test_its_page_is_there_until_it_has_run_out(member: User, begun: Conversation) -> None:
    client = signed_in(member)
    assert "temporary chat" in client.get(f"/c/{begun.pk}").content.decode()
    run_out(begun)
    assert client.get(f"/c/{begun.pk}").status_code == 404


def test_what_has_run_out_goes_for_good_with_its_files(
    member: User, begun: Conversation, conversation: Conversation, file_store: object
) -> None:
    upload = give(member)
    question = Message.objects.get(conversation=begun, role="user")
    question.attachments.create(upload=upload, position=0, name=upload.name)
    remove_temporary()
    assert Conversation.objects.filter(pk=begun.pk).exists(), "its day is not over"
    run_out(begun)
    remove_temporary()
    assert not Conversation.objects.filter(pk=begun.pk).exists()
    assert not Upload.objects.exists()
    assert Conversation.objects.filter(pk=conversation.pk).exists()


def test_closed_page_leaves_it_a_moment_and_an_open_one_takes_that_back(member: User, begun: Conversation) -> None:
    assert presence(member, begun.pk) == 200
    begun.refresh_from_db()
    assert begun.expires_at is not None and begun.expires_at < timezone.now() + temporary.KEPT_CLOSED
    assert presence(member, begun.pk, open="true") == 200
    begun.refresh_from_db()
    assert begun.expires_at == begun.created_at + temporary.KEPT


def test_one_that_has_run_out_does_not_come_back(member: User, begun: Conversation) -> None:
    run_out(begun)
    assert presence(member, begun.pk, open="true") == 404


def test_an_ordinary_chat_cannot_be_closed_away(member: User, conversation: Conversation) -> None:
    assert presence(member, conversation.pk) == 404
    assert Conversation.objects.get(pk=conversation.pk).expires_at is None


def test_it_is_shared_with_nobody(member: User, begun: Conversation) -> None:
    with pytest.raises(NotFound):
        grants.get_own(member, begun.pk)
    assert signed_in(member).get(f"/c/{begun.pk}/share").status_code == 404
