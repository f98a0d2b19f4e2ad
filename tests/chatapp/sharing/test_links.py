"""Public links: what they show, when they work, and what they never tell."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chatapp.accounts.models import Role, User
from chatapp.accounts.throttle import LIMITS
from chatapp.answers.models import Answer, Status
from chatapp.conversations import services as conversations
from chatapp.conversations.models import Conversation
from chatapp.errors import ChatError, Invalid, NotFound
from chatapp.files.models import Attachment
from chatapp.people import leaving, standing
from chatapp.sharing import links
from chatapp.sharing.models import PublicLink
from chatapp.sharing.tasks import remove_expired_links
from tests.chatapp.sharing.test_forking import say
from tests.file_fixtures import give
from tests.site_fixtures import make_person, signed_in

pytestmark = pytest.mark.django_db
PAGE = {"headers": {"accept": "text/html"}}


@pytest.fixture
def talk(conversation: Conversation) -> Answer:
    return say(conversation, "High tide?", "At **noon** <b>x</b>.", reasoning="A secret thought.")


def read(token: str) -> str:
    response = Client().get(f"/s/{token}", **PAGE)
    assert response.status_code == 200
    return response.content.decode()


def test_link_is_shown_once_and_opens_for_anybody(member: User, conversation: Conversation, talk: Answer) -> None:
    client = signed_in(member)
    page = client.post(f"/c/{conversation.pk}/links", {"days": "7"}, **PAGE).content.decode()
    [token] = set(re.findall(r"http://testserver/s/([\w-]+)", page))
    assert token not in client.get(f"/c/{conversation.pk}/share", **PAGE).content.decode()
    assert token not in str(PublicLink.objects.values())
    shown = read(token)
    assert "High tide?" in shown and "At **noon** &lt;b&gt;x&lt;/b&gt;." in shown and "Tides" in shown


def test_it_tells_no_names_files_or_thoughts(
    member: User, conversation: Conversation, talk: Answer, file_store: Path
) -> None:
    upload = give(member, name="secret-plan.txt")
    Attachment.objects.create(message=talk.message.parent, upload=upload, position=0, name=upload.name)
    shown = read(links.make(member, conversation.pk, 7).token)
    for hidden in ("Mario", member.email, "secret-plan", "A secret thought.", str(conversation.pk), str(member.pk)):
        assert hidden not in shown


def test_no_search_engine_lists_it_and_no_page_learns_its_address(
    member: User, conversation: Conversation, talk: Answer
) -> None:
    response = Client().get(f"/s/{links.make(member, conversation.pk, 7).token}", **PAGE)
    assert "noindex" in response.headers["X-Robots-Tag"]
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response.headers["Cache-Control"]
    assert '<meta name="robots" content="noindex' in response.content.decode()


def test_what_is_said_later_is_not_shown(member: User, conversation: Conversation, talk: Answer) -> None:
    token = links.make(member, conversation.pk, 7).token
    say(conversation, "And low?", "At six.", parent=talk.message)
    conversations.rename(member, conversation.pk, "Ebb")
    shown = read(token)
    assert "At six." not in shown and "Ebb" not in shown
    assert "At six." in read(links.make(member, conversation.pk, 7).token)


@pytest.mark.parametrize(
    "end",
    ["expired", "revoked", "deleted", "suspended", "handed over", "not allowed"],
)
def test_link_that_does_not_work_looks_like_one_that_never_was(
    owner: User, member: User, outsider: User, conversation: Conversation, talk: Answer, settings: Any, end: str
) -> None:
    made = links.make(member, conversation.pk, 7)
    assert "High tide?" in read(made.token)
    match end:
        case "expired":
            PublicLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        case "revoked":
            links.revoke(member, conversation.pk, made.link.pk)
        case "deleted":
            conversations.delete(member, conversation.pk)
        case "suspended":
            standing.suspend(owner, member.pk)
        case "handed over":
            leaving.remove(owner, member.pk, outsider.pk)
        case "not allowed":
            settings.CONFIG = replace(settings.CONFIG, public_links=False)
    ended, unknown = Client().get(f"/s/{made.token}", **PAGE), Client().get("/s/never-was", **PAGE)
    assert ended.status_code == unknown.status_code == 404
    assert without_token(ended.content) == without_token(unknown.content)


def without_token(page: bytes) -> str:
    return re.sub(r'(csrf-token" content=)"\w+"', "", page.decode())


def test_only_an_owner_who_is_of_the_team_makes_one(
    member: User, outsider: User, conversation: Conversation, talk: Answer, settings: Any
) -> None:
    conversation.grants.create(user=outsider, access="write")
    with pytest.raises(NotFound):
        links.make(outsider, conversation.pk, 7)
    with pytest.raises(NotFound):
        links.revoke(outsider, conversation.pk, links.make(member, conversation.pk, 7).link.pk)
    guest = make_person("Gina", Role.GUEST)
    own = Conversation.objects.create(owner=guest)
    say(own, "High tide?", "At noon.")
    with pytest.raises(NotFound):
        links.make(guest, own.pk, 7)
    settings.CONFIG = replace(settings.CONFIG, public_links=False)
    with pytest.raises(NotFound):
        links.make(member, conversation.pk, 7)
    assert "Public link" not in signed_in(member).get(f"/c/{conversation.pk}/share", **PAGE).content.decode()


def test_refusals(member: User, conversation: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChatError) as refused:
        links.make(member, conversation.pk, 7)
    assert refused.value.code == "empty"
    say(conversation, "High tide?", "At n", status=Status.RUNNING, ended_at=None)
    with pytest.raises(ChatError):
        links.make(member, conversation.pk, 7)
    Answer.objects.update(status=Status.FINISHED, ended_at=timezone.now())
    for days in (0, 366):
        with pytest.raises(Invalid):
            links.make(member, conversation.pk, days)
    monkeypatch.setattr(links, "MOST", 1)
    links.make(member, conversation.pk, 7)
    with pytest.raises(ChatError) as refused:
        links.make(member, conversation.pk, 7)
    assert refused.value.code == "too_many"


def test_guessing_links_has_to_wait(member: User, conversation: Conversation, talk: Answer) -> None:
    token = links.make(member, conversation.pk, 7).token
    for number in range(LIMITS["token"].free + 1):
        assert Client().get(f"/s/guess{number}", **PAGE).status_code == 404
    assert Client().get("/s/guess", **PAGE).status_code == 429
    assert "High tide?" in read(token), "whoever has one is not kept waiting"


def test_expired_snapshots_are_removed(member: User, conversation: Conversation, talk: Answer) -> None:
    links.make(member, conversation.pk, 7)
    remove_expired_links()
    assert PublicLink.objects.count() == 1
    PublicLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    remove_expired_links()
    assert not PublicLink.objects.exists()
