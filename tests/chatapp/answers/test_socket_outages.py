"""PostgreSQL and Valkey going away under an open socket, and a browser that does not read: it stays, and it heals."""

import asyncio
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.db import connections

from chatapp.accounts.models import User
from chatapp.answers import consumer
from chatapp.answers.events import Delta, TitleChanged
from chatapp.answers.log import BlockingEventLog, EventLog
from chatapp.answers.models import Answer
from chatapp.conversations.models import Conversation
from chatapp.endpoints.models import Endpoint
from ops.services import Services
from tests.live_site import LiveSite

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def servers(transactional_db: None, services: Services) -> Iterator[Services]:
    """Killed and started again; Django's own connection of this thread is not kept over it."""
    yield services
    connections.close_all()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "LOOK_EVERY_S", 0.5)


def test_socket_outlives_valkey(
    live_site: LiveSite, member: User, endpoint: Endpoint, conversation: Conversation, servers: Services
) -> None:
    with live_site.tab(member) as tab:
        tab.follow(conversation.pk)
        tab.receive_until("snapshot")
        servers.kill("valkey")
        error = tab.receive_until("error")
        assert (error["code"], error["conversation"]) == ("unavailable", str(conversation.pk))
        accepted = tab.ask("Are you there?", conversation=conversation.pk)
        assert accepted["type"] == "accepted", "the question is in the rows"
        assert Answer.objects.get().queued_event_at is None, "and the sweep will announce it"
        servers.revive("valkey")
        snapshot = tab.receive_until("snapshot")
        assert [message["text"] for message in snapshot["messages"]] == ["Are you there?", ""]
        BlockingEventLog().append(conversation.pk, TitleChanged("Back"))
        assert tab.receive_until("event")["event"]["title"] == "Back"


def test_bells_ring_again_after_valkey_came_back(
    live_site: LiveSite, member: User, conversation: Conversation, servers: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by looking: without bells a stream would go on in steps of five seconds until the web process restarts."""
    with live_site.tab(member) as tab:
        tab.follow(conversation.pk)
        tab.receive_until("snapshot")
        servers.kill("valkey")
        servers.revive("valkey")
        tab.receive_until("snapshot")
        monkeypatch.setattr(consumer, "LOOK_EVERY_S", 60)
        time.sleep(2.5)  # the last short look, and the second after which the layer connects again
        BlockingEventLog().append(conversation.pk, TitleChanged("Ring"))
        assert tab.receive_until("event", timeout_s=2)["event"]["title"] == "Ring"


def test_socket_outlives_postgres(
    live_site: LiveSite, member: User, endpoint: Endpoint, conversation: Conversation, servers: Services
) -> None:
    client_id = uuid4()
    with live_site.tab(member) as tab:
        tab.follow(conversation.pk)
        tab.receive_until("snapshot")
        servers.kill("postgres")
        assert tab.ask("Are you there?", client_id, conversation=str(conversation.pk))["code"] == "unavailable"
        BlockingEventLog().append(conversation.pk, TitleChanged("Meanwhile"))
        assert tab.receive_until("event")["event"]["title"] == "Meanwhile"
        servers.revive("postgres")
        connections.close_all()
        assert tab.ask("Are you there?", client_id, conversation=str(conversation.pk))["type"] == "accepted"
    assert Answer.objects.count() == 1


def test_browser_that_does_not_read_holds_back_its_own_events_only(
    live_site: LiveSite, member: User, conversation: Conversation
) -> None:
    """10 MB are waiting for it; the site reads them from the log as the browser takes them."""
    text, message = "x" * 20_000, uuid4()

    async def write() -> None:
        log = EventLog()
        for number in range(500):
            await log.append(conversation.pk, Delta(message, message, "text", number * len(text), text))

    before = BlockingEventLog().bounds(conversation.pk).head
    with live_site.tab(member) as slow, live_site.tab(member) as quick:
        slow.follow(conversation.pk, str(before))
        time.sleep(0.2)
        start = resident_bytes()
        asyncio.run(write())
        quick.follow(conversation.pk, str(before))
        assert quick.receive_events(3)
        grown = resident_bytes() - start
        assert [frame["event"]["at"] for frame in slow.receive_events(500)] == [n * len(text) for n in range(500)]
    assert grown < 8e6, f"{grown / 1e6:.0f} MB for two readers"


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096
