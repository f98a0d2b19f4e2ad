"""Events survive the wire, and browsers get no token ids."""

from uuid import uuid4

import pytest

from chatapp.answers.events import (
    AnswerEnded,
    AnswerQueued,
    AnswerStarted,
    Delta,
    Event,
    MessageAdded,
    Notice,
    Position,
    TitleChanged,
    from_wire,
    utf16_length,
)

EVENTS: list[Event] = [
    MessageAdded(uuid4(), uuid4(), "assistant", uuid4()),
    MessageAdded(uuid4(), None, "user", None),
    AnswerQueued(uuid4(), uuid4()),
    AnswerStarted(uuid4(), uuid4(), at_text=7, at_reasoning=3),
    Delta(uuid4(), uuid4(), "text", 12, "🌊 tide", (5, 6)),
    Notice(uuid4(), uuid4(), "context_trimmed", {"turns": 2}),
    AnswerEnded(uuid4(), uuid4(), "failed", "interrupted", "", 40, 0),
    TitleChanged("Tides"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_event_survives_the_wire(event: Event) -> None:
    assert from_wire(event.to_wire()) == event
    assert event.to_wire()["kind"] == event.kind


def test_token_ids_stay_in_the_log() -> None:
    event = Delta(uuid4(), uuid4(), "text", 0, "tide", (1, 2))
    assert event.to_wire()["token_ids"] == [1, 2]
    assert "token_ids" not in event.to_browser()


@pytest.mark.parametrize(("text", "length"), [("", 0), ("tide", 4), ("潮汐", 2), ("🌊", 2), ("é", 1)])
def test_lengths_count_as_javascript_does(text: str, length: int) -> None:
    assert utf16_length(text) == length


def test_position_survives_the_wire() -> None:
    position = Position("5ae7a3f0e251", 42)
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "7", "-7", "e-", "e-x", "e--1", "e-1-2", "e-٣", "é-1", "e-1234567890123456", "e" * 33 + "-1"]
)
def test_anything_else_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        Position.parse(text)
