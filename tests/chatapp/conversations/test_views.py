"""The chat page, its partials and the small writes, as browsers with and without JavaScript use them."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.conversations.models import Conversation, Message
from chatapp.endpoints.models import Endpoint
from chatapp.endpoints.selectors import list_choices
from chatapp.endpoints.services import LOCAL_NOTE, ensure_local_endpoint
from tests.site_fixtures import signed_in

pytestmark = pytest.mark.django_db
PAGE = {"accept": "text/html"}


@pytest.fixture
def client(member: User) -> Client:
    return signed_in(member)


@pytest.fixture
def branches(conversation: Conversation, member: User) -> dict[str, Message]:
    """A question with two answers; the first of them is shown."""
    question = Message.objects.create(conversation=conversation, role="user", author=member, text="High tide?")
    first = Message.objects.create(conversation=conversation, role="assistant", parent=question, text="At noon.")
    second = Message.objects.create(conversation=conversation, role="assistant", parent=question, text="At one.")
    Conversation.objects.update(active_leaf=first)
    return {"question": question, "first": first, "second": second}


def test_new_chat_names_the_default_model_and_never_its_address(client: Client, endpoint: Endpoint) -> None:
    page = client.get("/").content.decode()
    assert endpoint.name in page
    assert endpoint.base_url not in page


def test_new_chat_works_before_any_model_is_connected(client: Client) -> None:
    assert client.get("/").status_code == 200


def test_only_enabled_models_are_offered_the_default_first(endpoint: Endpoint) -> None:
    Endpoint.objects.create(name="A", base_url="http://127.0.0.1:9/v1", model="a")
    Endpoint.objects.create(name="Off", base_url="http://127.0.0.1:9/v1", model="b", is_enabled=False)
    assert [choice.name for choice in list_choices()] == ["Scripted", "A"]


@pytest.mark.parametrize("language", ["de", "zh-hans"])
def test_our_own_models_note_speaks_the_persons_language(client: Client, language: str) -> None:
    ensure_local_endpoint()
    words = {"en": LOCAL_NOTE, "de": "Ein kleines Modell zur Vorführung", "zh-hans": "小型演示模型"}
    assert words["en"] in client.get("/").content.decode()
    assert words[language] in client.get("/", headers={"accept-language": language}).content.decode()


def test_conversation_shows_its_active_branch_and_another_when_asked(
    client: Client, conversation: Conversation, branches: dict[str, Message]
) -> None:
    url = f"/c/{conversation.pk}"
    shown = client.get(url).content.decode()
    assert "At noon." in shown
    assert "At one." not in shown
    assert "Tides" in shown
    other = client.get(f"{url}?leaf={branches['second'].pk}").content.decode()
    assert "At one." in other
    assert "At noon." not in other


def test_partials_are_parts_of_the_page(
    client: Client, conversation: Conversation, branches: dict[str, Message]
) -> None:
    thread = client.get(f"/c/{conversation.pk}/thread").content.decode()
    message = client.get(f"/c/{conversation.pk}/messages/{branches['first'].pk}").content.decode()
    assert "data-position" in thread
    assert "<html" not in thread
    assert message.strip() in thread
    assert f'data-entry="{conversation.pk}"' in client.get("/sidebar").content.decode()


def test_text_is_never_taken_for_html(client: Client, conversation: Conversation, branches: dict[str, Message]) -> None:
    Message.objects.update(text="<script>alert(1)</script>")
    Conversation.objects.update(title="<img src=x>")
    page = client.get(f"/c/{conversation.pk}").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "<img" not in page


@pytest.mark.parametrize("leaf", ["nonsense", "00000000-0000-4000-8000-000000000000"])
def test_unknown_branch_is_refused(client: Client, conversation: Conversation, leaf: str) -> None:
    assert client.get(f"/c/{conversation.pk}").status_code == 200
    assert client.get(f"/c/{conversation.pk}?leaf={leaf}").status_code in {400, 404}


def test_message_of_another_conversation_is_not_there(
    client: Client, member: User, conversation: Conversation, branches: dict[str, Message]
) -> None:
    other = Conversation.objects.create(owner=member, title="Other")
    assert client.get(f"/c/{conversation.pk}/messages/{branches['first'].pk}").status_code == 200
    assert client.get(f"/c/{other.pk}/messages/{branches['first'].pk}").status_code == 404
    assert client.post(f"/c/{other.pk}/select", {"leaf": branches["first"].pk}).status_code == 404


def test_select_remembers_the_end_of_the_branch(
    client: Client, conversation: Conversation, branches: dict[str, Message]
) -> None:
    response = client.post(f"/c/{conversation.pk}/select", {"leaf": str(branches["question"].pk)})
    assert response.json() == {"leaf": str(branches["second"].pk)}
    assert "At one." in client.get(f"/c/{conversation.pk}").content.decode()


@pytest.mark.parametrize("as_json", [True, False])
def test_rename_answers_the_stored_title(client: Client, conversation: Conversation, as_json: bool) -> None:
    kind = {"content_type": "application/json"} if as_json else {}
    response = client.post(f"/c/{conversation.pk}/rename", {"title": "  Ebb  and flow "}, **kind)
    assert response.json() == {"ok": True, "title": "Ebb and flow"}


@pytest.mark.parametrize("title", ["", "   ", "x" * 201])
def test_unusable_title_is_refused_naming_its_field(client: Client, conversation: Conversation, title: str) -> None:
    response = client.post(f"/c/{conversation.pk}/rename", {"title": title})
    assert response.status_code == 400
    assert response.json()["error"]["field"] == "title"
    conversation.refresh_from_db()
    assert conversation.title == "Tides"


def test_delete_hides_and_restore_brings_back(client: Client, conversation: Conversation) -> None:
    url = f"/c/{conversation.pk}"
    assert client.post(f"{url}/delete").json() == {"ok": True}
    assert client.get(url).status_code == 404
    assert client.post(f"{url}/restore").json() == {"ok": True}
    assert client.get(url).status_code == 200


def test_without_javascript_writes_lead_on_to_a_page(client: Client, conversation: Conversation) -> None:
    response = client.post(f"/c/{conversation.pk}/rename", {"title": "Ebb"}, headers=PAGE)
    assert response.headers["Location"] == "/"


def test_sidebar_goes_on_before_a_moment(client: Client, member: User, conversation: Conversation) -> None:
    Conversation.objects.update(updated_at=timezone.now() - timedelta(days=400))
    Conversation.objects.create(owner=member, title="Fresh")
    assert "Fresh" in client.get("/sidebar").content.decode()
    older = client.get("/sidebar", {"before": (timezone.now() - timedelta(days=1)).isoformat()}).content.decode()
    assert "Tides" in older
    assert "Fresh" not in older
    assert client.get("/sidebar", {"before": "yesterday"}).status_code == 400


def test_pages_are_kept_by_no_cache_and_carry_the_policy(client: Client, conversation: Conversation) -> None:
    response = client.get(f"/c/{conversation.pk}")
    assert "no-store" in response.headers["Cache-Control"]
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"].replace("style-src-attr", "")
