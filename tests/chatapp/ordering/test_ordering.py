"""Pins, the archive and many at once: what each does to one's own list, and to nobody else's."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db.models import F
from django.test import Client

from chatapp.accounts.models import User
from chatapp.answers.services import send_message
from chatapp.conversations.access import may
from chatapp.conversations.models import Conversation, Grant
from chatapp.conversations.selectors import sidebar
from chatapp.endpoints.models import Endpoint
from chatapp.errors import ChatError, NotFound
from chatapp.finding.selectors import recent
from chatapp.ordering.models import Kept
from chatapp.ordering.services import MOST, MOST_PINNED, archive, delete, do, pin, release
from ops.services import Services
from tests.chatapp.finding.conftest import found, say
from tests.site_fixtures import signed_in

pytestmark = pytest.mark.django_db
PAGE = {"accept": "text/html"}


@pytest.fixture
def three(member: User) -> list[Conversation]:
    """The first is the newest."""
    made = [Conversation.objects.create(owner=member, title=title) for title in ("Ebb", "Flow", "Slack")]
    for number, conversation in enumerate(made):
        age = timedelta(minutes=number)
        Conversation.objects.filter(pk=conversation.pk).update(updated_at=F("updated_at") - age)
    return made


def shown(person: User) -> dict[str, list[str]]:
    return {group.label: [each.title for each in group.conversations] for group in sidebar(person)}


def test_pinned_chats_stand_above_the_others_the_last_used_first(member: User, three: list[Conversation]) -> None:
    pin(member, [three[2].pk])
    assert shown(member) == {"Pinned": ["Slack"], "Today": ["Ebb", "Flow"]}
    pin(member, [three[1].pk, three[2].pk])
    assert shown(member) == {"Pinned": ["Flow", "Slack"], "Today": ["Ebb"]}
    release(member, [three[1].pk])
    assert shown(member) == {"Pinned": ["Slack"], "Today": ["Ebb", "Flow"]}


def test_pinned_chats_come_with_the_first_page_only(member: User, three: list[Conversation]) -> None:
    pin(member, [three[2].pk])
    before = Conversation.objects.get(pk=three[0].pk).updated_at
    assert [group.label for group in sidebar(member, before)] == ["Today"]


def test_archived_chats_leave_the_list_and_are_still_found(
    member: User, three: list[Conversation], services: Services
) -> None:
    say(three[1], "cormorant")
    archive(member, [three[0].pk, three[1].pk])
    assert shown(member) == {"Today": ["Slack"]}
    assert [each.title for each in recent(member)] == ["Slack"]
    assert [each.conversation_id for each in found(member, "cormorant")] == [three[1].pk]
    page = signed_in(member).get("/archive").content.decode()
    assert page.count("data-archived=") == 2
    release(member, [three[0].pk])
    assert shown(member) == {"Today": ["Ebb", "Slack"]}


def test_a_new_question_brings_an_archived_chat_back(
    member: User, three: list[Conversation], endpoint: Endpoint, services: Services
) -> None:
    archive(member, [three[0].pk])
    assert "Ebb" not in shown(member)["Today"]
    send_message(member, client_id=uuid4(), text="And now?", conversation_id=three[0].pk)
    assert shown(member)["Today"] == ["And now?", "Flow", "Slack"], "titled by its first question"


def test_one_is_pinned_or_archived_and_never_both(member: User, three: list[Conversation]) -> None:
    for deed, expected in ((pin, (True, False)), (archive, (False, True)), (pin, (True, False))):
        deed(member, [three[0].pk])
        kept = Kept.objects.get()
        assert (kept.pinned_at is not None, kept.archived_at is not None) == expected


def test_each_person_orders_their_own_list(member: User, outsider: User, three: list[Conversation]) -> None:
    Grant.objects.create(conversation=three[0], user=outsider, access="read")
    assert shown(outsider) == {"Today": ["Ebb"]}
    archive(outsider, [three[0].pk])
    assert shown(outsider) == {}
    assert "Ebb" in shown(member)["Today"]
    pin(member, [three[0].pk])
    assert shown(outsider) == {}


@pytest.mark.parametrize("deed", ["pin", "archive", "release", "delete", "restore"])
def test_what_is_not_ones_own_to_do_is_done_to_none(
    member: User, outsider: User, three: list[Conversation], deed: str
) -> None:
    own = Conversation.objects.create(owner=outsider, title="Own")
    do(outsider, deed, [own.pk])
    Kept.objects.all().delete()
    Conversation.objects.update(deleted_at=None)
    with pytest.raises(NotFound):
        do(outsider, deed, [own.pk, three[0].pk])
    assert may(outsider, own.pk) and may(member, three[0].pk) and not Kept.objects.exists()


def test_a_reader_may_archive_and_not_delete(member: User, outsider: User, three: list[Conversation]) -> None:
    Grant.objects.create(conversation=three[0], user=outsider, access="write")
    archive(outsider, [three[0].pk])
    with pytest.raises(NotFound):
        delete(outsider, [three[0].pk])
    assert may(member, three[0].pk)


def test_the_suspended_order_nothing(member: User, three: list[Conversation]) -> None:
    member.is_active = False
    for deed in (pin, archive, delete):
        with pytest.raises(NotFound):
            deed(member, [three[0].pk])


def test_many_are_deleted_at_once_and_come_back_at_once(member: User, three: list[Conversation]) -> None:
    client = signed_in(member)
    ids = ",".join(str(each.pk) for each in three[:2])
    assert client.post("/chats", {"deed": "delete", "ids": ids}).json() == {"ok": True}
    assert shown(member) == {"Today": ["Slack"]}
    assert client.get(f"/c/{three[0].pk}").status_code == 404
    client.post("/chats", {"deed": "restore", "ids": ids})
    assert shown(member) == {"Today": ["Ebb", "Flow", "Slack"]}


def test_pins_have_a_limit(member: User, three: list[Conversation]) -> None:
    made = Conversation.objects.bulk_create(Conversation(owner=member, title=str(n)) for n in range(MOST_PINNED))
    do(member, "pin", [each.pk for each in made])
    with pytest.raises(ChatError, match="too_many"):
        do(member, "pin", [three[0].pk])
    assert Kept.objects.filter(pinned_at__isnull=False).count() == MOST_PINNED


@pytest.mark.parametrize(
    "fields",
    [{}, {"deed": "burn", "ids": "x"}, {"deed": "pin", "ids": "x"}, {"deed": "pin", "ids": ""}, {"deed": "pin"}],
)
def test_unusable_requests_are_refused(member: User, fields: dict[str, str]) -> None:
    assert signed_in(member).post("/chats", fields).status_code == 400


def test_number_of_chats_at_once_is_bounded(member: User) -> None:
    ids = ",".join(str(uuid4()) for _ in range(MOST + 1))
    response = signed_in(member).post("/chats", {"deed": "delete", "ids": ids})
    assert response.status_code == 400 and str(MOST) in response.json()["error"]["message"]


def test_archive_works_without_javascript(member: User, three: list[Conversation]) -> None:
    client: Client = signed_in(member)
    archive(member, [three[0].pk])
    response = client.post("/chats", {"deed": "release", "ids": str(three[0].pk)}, headers=PAGE)
    assert response.headers["Location"] == "/archive"
    assert "Nothing is archived." in client.get("/archive").content.decode()


def test_a_purged_chat_takes_its_place_along(member: User, three: list[Conversation]) -> None:
    pin(member, [three[0].pk])
    three[0].delete()
    assert not Kept.objects.exists()


def test_migrations_are_in_step_with_the_models() -> None:
    call_command("makemigrations", "ordering", check=True, dry_run=True, verbosity=0)
