"""The websocket, from a real client through a real server to the real PostgreSQL and Valkey."""

import asyncio
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.sessions.models import Session

from chatapp.accounts.models import Group, User
from chatapp.answers import consumer
from chatapp.answers.events import Delta, Event, Position, TitleChanged
from chatapp.answers.log import BlockingEventLog, EventLog
from chatapp.answers.models import Answer, Status
from chatapp.answers.valkey import blocking_client
from chatapp.conversations.models import Conversation, Grant, Message
from chatapp.endpoints.models import Endpoint
from tests.live_site import LiveSite
from tests.site_fixtures import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come every half second, not every five: what heals by them is the same."""
    assert consumer.LOOK_EVERY_S <= 5
    monkeypatch.setattr(consumer, "LOOK_EVERY_S", 0.5)


def titles(count: int, start: int = 0) -> list[TitleChanged]:
    return [TitleChanged(f"title {number}") for number in range(start, start + count)]


def append(conversation: Conversation, events: list[TitleChanged]) -> list[Position]:
    async def work() -> list[Position]:
        log = EventLog()
        return [await log.append(conversation.pk, event) for event in events]

    return asyncio.run(work())


def head(conversation: Conversation) -> str:
    return str(BlockingEventLog().bounds(conversation.pk).head)


def shown(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["event"]["title"] for frame in frames]


def test_question_is_accepted_and_its_events_come_in_order(
    live_site: LiveSite, member: User, endpoint: Endpoint
) -> None:
    with live_site.tab(member) as tab:
        accepted = tab.ask("When is high tide?")
        assert accepted["type"] == "accepted"
        tab.follow(accepted["conversation"])
        snapshot = tab.receive_until("snapshot")
    assert snapshot["title"] == "When is high tide?"
    assert [(m["id"], m["role"], m["text"]) for m in snapshot["messages"]] == [
        (accepted["message"], "user", "When is high tide?"),
        (accepted["reply"], "assistant", ""),
    ]
    assert snapshot["messages"][1]["answer"] == {
        "id": accepted["answer"], "status": "queued", "error_code": "", "finish_reason": ""
    }  # fmt: skip


def test_a_second_question_is_announced_to_who_follows(
    live_site: LiveSite, member: User, endpoint: Endpoint, conversation: Conversation
) -> None:
    with live_site.tab(member) as first, live_site.tab(member) as second:
        second.follow(conversation.pk, head(conversation))
        accepted = first.ask("And low tide?", conversation=conversation.pk)
        events = [frame["event"] for frame in second.receive_events(3)]
        assert [event["kind"] for event in events] == ["message_added", "message_added", "answer_queued"]
        assert [event["message"] for event in events] == [accepted["message"], accepted["reply"], accepted["reply"]]
        assert second.receive_until("list_changed")


def test_events_come_in_order_to_every_reader(live_site: LiveSite, member: User, conversation: Conversation) -> None:
    start = head(conversation)
    with live_site.tab(member) as first, live_site.tab(member) as second:
        first.follow(conversation.pk, start)
        positions = append(conversation, titles(30))
        second.follow(conversation.pk, start)  # late, and from the same place
        for tab in (first, second):
            frames = tab.receive_events(30)
            assert shown(frames) == [event.title for event in titles(30)]
            assert [frame["id"] for frame in frames] == [str(position) for position in positions]


def test_reconnect_goes_on_after_the_last_event(live_site: LiveSite, member: User, conversation: Conversation) -> None:
    with live_site.tab(member) as tab:
        tab.follow(conversation.pk, head(conversation))
        append(conversation, titles(3))
        last = tab.receive_events(3)[-1]["id"]
    append(conversation, titles(4, start=3))
    with live_site.tab(member) as tab:
        tab.follow(conversation.pk, last)
        assert shown(tab.receive_events(4)) == [event.title for event in titles(4, start=3)]
        assert tab.is_silent()


def test_reader_who_slept_through_five_hundred_events_gets_them_all(
    live_site: LiveSite, member: User, conversation: Conversation
) -> None:
    with live_site.tab(member) as tab:
        tab.follow(conversation.pk, head(conversation))
        append(conversation, titles(500))
        time.sleep(0.3)
        assert shown(tab.receive_events(500)) == [event.title for event in titles(500)]


def test_lost_bell_delays_an_event_by_one_look(
    live_site: LiveSite, member: User, conversation: Conversation, impatient: None
) -> None:
    with live_site.tab(member) as tab:
        tab.follow(conversation.pk, head(conversation))
        append(conversation, titles(1))
        tab.receive_events(1)
        blocking_client().client_kill_filter(_type="pubsub")
        append(conversation, titles(1, start=1))
        assert shown(tab.receive_events(1)) == ["title 1"]


@pytest.mark.parametrize("loss", ["deleted", "trimmed", "foreign epoch"])
def test_reader_whose_place_is_lost_gets_one_snapshot_and_goes_on(
    live_site: LiveSite, member: User, conversation: Conversation, impatient: None, loss: str
) -> None:
    after = str(append(conversation, titles(5))[0])
    stream = f"sonde:log:{{{conversation.pk}}}:events"
    if loss == "deleted":
        blocking_client().delete(*[f"sonde:log:{{{conversation.pk}}}:{part}" for part in ("events", "meta", "fences")])
    elif loss == "trimmed":
        blocking_client().xtrim(stream, maxlen=1, approximate=False)
    else:
        after = "elsewhere-1"
    with live_site.tab(member) as tab:
        tab.follow(conversation.pk, after)
        snapshot = tab.receive()
        assert (snapshot["type"], snapshot["title"], snapshot["position"]) == ("snapshot", "Tides", head(conversation))
        append(conversation, titles(2, start=9))
        assert shown(tab.receive_events(2)) == ["title 9", "title 10"]


def test_log_lost_under_a_following_reader_is_healed_by_a_snapshot(
    live_site: LiveSite, member: User, conversation: Conversation
) -> None:
    with live_site.tab(member) as tab:
        tab.follow(conversation.pk, head(conversation))
        append(conversation, titles(2))
        tab.receive_events(2)
        blocking_client().flushall()
        append(conversation, titles(1, start=5))
        assert tab.receive_until("snapshot")["position"] == head(conversation)


def test_snapshot_of_a_running_answer_stands_before_what_its_text_lacks(
    live_site: LiveSite, member: User, endpoint: Endpoint, conversation: Conversation
) -> None:
    with live_site.tab(member) as tab:
        accepted = tab.ask("Why?", conversation=conversation.pk)
        answer, message = UUID(accepted["answer"]), UUID(accepted["reply"])
        Answer.objects.filter(pk=answer).update(status=Status.RUNNING, fence=1)

        def delta(at: int, text: str) -> Event:
            return Delta(answer=answer, message=message, part="text", at=at, text=text, token_ids=(1,))

        async def run() -> list[Position]:
            log = EventLog()
            await log.raise_fence(conversation.pk, answer, 1)
            events = [delta(0, "Because "), delta(8, "the "), delta(12, "moon")]
            return [await log.append(conversation.pk, event, answer_id=answer, fence=1) for event in events]

        positions = asyncio.run(run())
        Message.objects.filter(pk=message).update(text="Because ")
        Answer.objects.filter(pk=answer).update(snapshot_epoch=positions[0].epoch, snapshot_seq=positions[0].seq)
        tab.follow(conversation.pk)
        snapshot = tab.receive_until("snapshot")
        assert snapshot["messages"][1]["text"] == "Because "
        assert [(f["event"]["at"], f["event"]["text"]) for f in tab.receive_events(2)] == [(8, "the "), (12, "moon")]
        assert tab.is_silent()
        tab.follow(conversation.pk, str(positions[1]))
        event = tab.receive_until("event")["event"]
        assert "token_ids" not in event and event["text"] == "moon"


def test_outsider_learns_nothing(
    live_site: LiveSite, member: User, outsider: User, endpoint: Endpoint, conversation: Conversation
) -> None:
    with live_site.tab(member) as tab:
        own = tab.ask("Mine?", conversation=conversation.pk)
    with live_site.tab(outsider) as tab:
        assert tab.ask("Am I here?")["type"] == "accepted"  # the outsider exists, and may have a chat of their own
        for type, fields in {
            "subscribe": {"conversation": conversation.pk},
            "send_message": {"client_id": uuid4(), "conversation": conversation.pk, "text": "hello"},
            "regenerate": {"client_id": uuid4(), "message": own["reply"]},
            "continue_answer": {"client_id": uuid4(), "message": own["reply"]},
            "replay_answer": {"client_id": uuid4(), "answer": own["answer"]},
            "cancel_answer": {"answer": own["answer"]},
        }.items():
            tab.send(type, **fields)
            assert tab.receive_until("error")["code"] == "not_found", type
        append(conversation, titles(1))
        assert tab.is_silent()
    assert Answer.objects.get(pk=own["answer"]).status == Status.QUEUED


def test_reader_without_write_access_may_follow_but_not_ask(
    live_site: LiveSite, outsider: User, endpoint: Endpoint, conversation: Conversation
) -> None:
    Grant.objects.create(conversation=conversation, user=outsider, access="read")
    with live_site.tab(outsider) as tab:
        tab.follow(conversation.pk, head(conversation))
        append(conversation, titles(1))
        assert tab.receive_events(1)
        assert tab.ask("May I?", conversation=conversation.pk)["code"] == "not_found"


def test_member_who_left_the_group_gets_no_events(
    live_site: LiveSite, outsider: User, conversation: Conversation, impatient: None
) -> None:
    group = Group.objects.create(name="Harbour")
    group.members.add(outsider)
    Grant.objects.create(conversation=conversation, group=group, access="read")
    with live_site.tab(outsider) as tab:
        tab.follow(conversation.pk, head(conversation))
        append(conversation, titles(1))
        assert tab.receive_events(1)
        group.members.remove(outsider)
        assert tab.receive_until("ended") == {"type": "ended", "conversation": str(conversation.pk)}
        append(conversation, titles(1, start=1))
        assert tab.is_silent()
        tab.follow(conversation.pk)
        assert tab.receive_until("error")["code"] == "not_found"


@pytest.mark.parametrize("end", ["suspended", "signed out", "new password"])
def test_socket_closes_when_the_session_ends(live_site: LiveSite, member: User, impatient: None, end: str) -> None:
    with live_site.tab(member) as tab:
        tab.send("ping")
        assert tab.receive() == {"type": "pong"}
        if end == "suspended":
            User.objects.filter(pk=member.pk).update(is_active=False)
        elif end == "signed out":
            Session.objects.all().delete()
        else:
            member.set_password("another long password")
            member.save()
        assert tab.close_code() == 4401


def test_suspended_person_cannot_ask_before_the_next_look(
    live_site: LiveSite, member: User, endpoint: Endpoint
) -> None:
    with live_site.tab(member) as tab:
        assert tab.ask("Still here?")["type"] == "accepted"
        User.objects.filter(pk=member.pk).update(is_active=False)
        tab.send("send_message", client_id=uuid4(), text="And now?")
        assert tab.close_code() == 4401
    assert Message.objects.filter(text="And now?").count() == 0


def test_stranger_is_closed_with_4401(live_site: LiveSite) -> None:
    with live_site.tab(None) as tab:
        assert tab.close_code() == 4401


def test_foreign_origin_is_closed_with_4403(live_site: LiveSite, member: User) -> None:
    with live_site.tab(member) as tab:
        tab.send("ping")
        assert tab.receive()["type"] == "pong"
    with live_site.tab(member, origin="http://elsewhere.example") as tab:
        assert tab.close_code() == 4403


def test_same_client_id_asks_once(live_site: LiveSite, member: User, endpoint: Endpoint) -> None:
    client_id = uuid4()
    with live_site.tab(member) as first, live_site.tab(member) as second:
        for tab in (first, second, first):
            tab.send("send_message", client_id=client_id, text="Once?")
        answers = [
            tab.receive_until(lambda frame: frame.get("client_id") == str(client_id)) for tab in (first, second, first)
        ]
    assert answers[0]["type"] == "accepted"
    assert answers[0] == answers[1] == answers[2]
    assert Message.objects.filter(role="user").count() == Answer.objects.count() == Conversation.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("not json", "invalid", "frame"),
        ("[" * 100_000, "invalid", "frame"),
        ('["ping"]', "invalid", "frame"),
        ('{"type": "ping", "x": "' + "y" * 1024 * 1024 + '"}', "invalid", "frame"),
        ("{}", "invalid", "type"),
        ('{"type": 7}', "invalid", "type"),
        ('{"type": "drop_tables"}', "unknown_type", "type"),
        ('{"type": "ping", "loud": true}', "unknown_field", "loud"),
        ('{"type": "subscribe"}', "invalid", "conversation"),
        ('{"type": "subscribe", "conversation": 5}', "invalid", "conversation"),
        ('{"type": "subscribe", "conversation": "{ID}", "after": "7"}', "invalid", "after"),
        ('{"type": "subscribe", "conversation": "{ID}", "after": 7}', "invalid", "after"),
        ('{"type": "send_message", "text": "no id"}', "invalid", "client_id"),
        ('{"type": "send_message", "client_id": "{ID}"}', "invalid", "text"),
        ('{"type": "send_message", "client_id": "{ID}", "text": " \\n "}', "empty", "text"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "a\\u0000b"}', "invalid", "text"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "\\ud83d"}', "invalid", "text"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "' + "x" * 1_000_001 + '"}', "too_long", "text"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "x", "thinking": 1}', "invalid", "thinking"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "x", "uploads": ["{ID}"]}', "not_found", "uploads"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "x", "uploads": "{ID}"}', "invalid", "uploads"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "x", "uploads": ["a"]}', "invalid", "uploads"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "x", "read_all": "yes"}', "invalid", "read_all"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "x", "search": "yes"}', "invalid", "search"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "x", "deep": true}', "not_supported", "deep"),
        ('{"type": "regenerate", "client_id": "{ID}", "message": "{ID}", "deep": 1}', "invalid", "deep"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "x", "parent": "{ID}"}', "invalid", "parent"),
        ('{"type": "send_message", "client_id": "{ID}", "text": "x", "endpoint": "{ID}"}', "no_endpoint", "endpoint"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else value,
)
def test_malformed_frame_is_answered_and_the_socket_stays(
    live_site: LiveSite, member: User, endpoint: Endpoint, text: str, code: str, field: str
) -> None:
    with live_site.tab(member) as tab:
        tab.connection.send(text.replace("{ID}", str(uuid4())))
        error = tab.receive()
        assert (error["type"], error["code"], error["field"]) == ("error", code, field)
        assert error["message"]
        tab.send("ping")
        assert tab.receive() == {"type": "pong"}
    assert not Conversation.objects.exists()


def test_binary_frame_is_answered_and_the_socket_stays(live_site: LiveSite, member: User) -> None:
    with live_site.tab(member) as tab:
        tab.connection.send(b"\x00\xff")
        assert tab.receive()["code"] == "invalid"
        tab.send("ping")
        assert tab.receive() == {"type": "pong"}


def test_words_of_an_error_follow_the_person(live_site: LiveSite, member: User) -> None:
    """In a thread of a service, and on the loop where frames are decoded."""
    words = {}
    for language in ("en", "de"):
        User.objects.update(language=language)
        with live_site.tab(member) as tab:
            asked = tab.ask("No model is set up")["message"]
            tab.send("drop_tables")
            words[language] = [asked, tab.receive_until("error")["message"]]
    assert words["en"][0].startswith("No model")
    assert all(german and german != english for english, german in zip(words["en"], words["de"], strict=True))


def test_number_of_followed_conversations_is_bounded(live_site: LiveSite, member: User) -> None:
    conversations = [Conversation.objects.create(owner=member, title=str(n)) for n in range(consumer.MAX_FOLLOWED + 1)]
    with live_site.tab(member) as tab:
        for conversation in conversations:
            tab.follow(conversation.pk)
        error = tab.receive_until("error")
        assert (error["code"], error["conversation"]) == ("too_many", str(conversations[-1].pk))
        tab.send("unsubscribe", conversation=conversations[0].pk)
        tab.follow(conversations[-1].pk)
        tab.receive_until(lambda f: f["type"] == "snapshot" and f["conversation"] == str(conversations[-1].pk))


def test_unsubscribed_conversation_is_silent(live_site: LiveSite, member: User, conversation: Conversation) -> None:
    with live_site.tab(member) as tab:
        tab.follow(conversation.pk)
        tab.receive_until("snapshot")
        tab.send("unsubscribe", conversation=conversation.pk)
        tab.send("ping")
        tab.receive_until("pong")
        append(conversation, titles(1))
        assert tab.is_silent()


def test_deleted_conversation_ends_at_once(live_site: LiveSite, member: User, conversation: Conversation) -> None:
    from chatapp.conversations.services import delete

    with live_site.tab(member) as tab:
        tab.follow(conversation.pk)
        tab.receive_until("snapshot")
        started = time.monotonic()
        delete(member, conversation.pk)
        tab.receive_until("ended")
        assert time.monotonic() - started < 2


def test_socket_and_session_survive_a_tab_that_vanishes(
    live_site: LiveSite, member: User, conversation: Conversation
) -> None:
    session = signed_in(member).cookies["sessionid"].value
    with live_site.tab_of_session(session) as tab:
        tab.follow(conversation.pk)
        tab.connection.socket.close()
    with live_site.tab_of_session(session) as tab:
        tab.follow(conversation.pk)
        assert tab.receive_until("snapshot")
