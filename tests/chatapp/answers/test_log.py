"""The event log on the real Valkey: order, fences, loss. A reader either misses nothing, or is told that it did."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatapp.accounts.models import User
from chatapp.answers.events import Delta, Event, Position, TitleChanged
from chatapp.answers.log import LOST, TTL_S, BlockingEventLog, Bounds, EventLog, FencedOut
from chatapp.answers.models import Answer, Status
from chatapp.answers.services import send_message
from chatapp.answers.valkey import blocking_client
from chatapp.endpoints.models import Endpoint
from ops.services import Services

PARTS = ("events", "meta", "fences")


def key(conversation_id: UUID, part: str) -> str:
    return f"sonde:log:{{{conversation_id}}}:{part}"


def lose_everything(conversation_id: UUID) -> None:
    blocking_client().delete(*[key(conversation_id, part) for part in PARTS])


def restart_losing(conversation_id: UUID, count: int) -> None:
    """What a server leaves that came back without its newest `count` entries: their numbers are free again."""
    valkey, events = blocking_client(), key(conversation_id, "events")
    entries: Any = valkey.xrange(events)
    kept = entries[: len(entries) - count]
    valkey.delete(events)
    for entry_id, values in kept:
        valkey.xadd(events, values, id=entry_id)
    seq = int(kept[-1][0].split(b"-")[0]) if kept else 0
    valkey.hset(key(conversation_id, "meta"), mapping={"run": "an earlier run", "seq": seq})


def delta(answer: UUID, at: int, text: str = "word ") -> Delta:
    return Delta(answer=answer, message=uuid4(), part="text", at=at, text=text, token_ids=(at, at + 1))


@pytest.fixture(autouse=True)
def servers(services: Services) -> None:
    """Every test here needs the real ones."""


async def test_events_are_counted_from_one_and_read_back_as_they_were() -> None:
    log, conversation, answer = EventLog(), uuid4(), uuid4()
    written: list[Event] = [TitleChanged("Ebb & “flow” 潮汐"), delta(answer, 0), delta(answer, 5)]
    start = await log.head(conversation)
    positions = [await log.append(conversation, event) for event in written]
    assert [position.seq for position in positions] == [1, 2, 3]
    assert await log.read_after(conversation, start) == list(zip(positions, written, strict=True))
    assert await log.read_after(conversation, positions[0], limit=1) == [(positions[1], written[1])]
    assert await log.read_after(conversation, positions[2]) == []


async def test_place_of_another_log_is_lost() -> None:
    log, conversation = EventLog(), uuid4()
    position = await log.append(conversation, TitleChanged("one"))
    assert await log.read_after(conversation, Position("other", 1)) is LOST
    assert await log.read_after(conversation, Position(position.epoch, 2)) is LOST, "beyond the head"


async def test_trimmed_place_is_lost_and_the_oldest_kept_one_is_not() -> None:
    log, conversation = EventLog(), uuid4()
    positions = [await log.append(conversation, TitleChanged(str(number))) for number in range(6)]
    blocking_client().xtrim(key(conversation, "events"), maxlen=2, approximate=False)
    assert await log.read_after(conversation, positions[2]) is LOST
    assert await log.read_after(conversation, positions[3]) == [
        (positions[4], TitleChanged("4")),
        (positions[5], TitleChanged("5")),
    ]
    bounds = await log.bounds(conversation)
    assert bounds.clamp(positions[0]) == bounds.clamp(None) == positions[3]
    assert bounds.clamp(positions[4]) == positions[4]


async def test_every_part_of_a_log_expires_and_reading_keeps_it() -> None:
    log, conversation = EventLog(), uuid4()
    await log.raise_fence(conversation, uuid4(), 1)
    position = await log.append(conversation, TitleChanged("one"))
    valkey = blocking_client()
    for part in PARTS:
        assert 0 < int(valkey.ttl(key(conversation, part))) <= TTL_S  # type: ignore[arg-type]
        valkey.expire(key(conversation, part), 60)
    await log.read_after(conversation, position)
    assert all(int(valkey.ttl(key(conversation, part))) > 60 for part in PARTS)  # type: ignore[arg-type]


async def test_writing_under_an_older_fence_is_refused() -> None:
    log, conversation, answer = EventLog(), uuid4(), uuid4()
    await log.raise_fence(conversation, answer, 1)
    start = await log.append(conversation, delta(answer, 0), answer_id=answer, fence=1)
    await log.raise_fence(conversation, answer, 2)
    with pytest.raises(FencedOut):
        await log.append(conversation, delta(answer, 5, "zombie"), answer_id=answer, fence=1)
    with pytest.raises(FencedOut):
        await log.raise_fence(conversation, answer, 1)
    await log.raise_fence(conversation, answer, 2)
    kept = await log.append(conversation, delta(answer, 5), answer_id=answer, fence=2)
    assert [position for position, _ in await read_all(log, conversation, start)] == [kept]


async def test_fence_of_one_answer_says_nothing_of_another() -> None:
    log, conversation, first, second = EventLog(), uuid4(), uuid4(), uuid4()
    await log.raise_fence(conversation, first, 5)
    await log.raise_fence(conversation, second, 1)
    assert await log.append(conversation, delta(second, 0), answer_id=second, fence=1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("loss", ["everything", "restart"])
def test_log_that_lost_its_fences_asks_the_rows(member: User, endpoint: Endpoint, loss: str) -> None:
    accepted = send_message(member, client_id=uuid4(), text="Who writes?")
    conversation, answer = accepted.conversation_id, accepted.answer_id
    Answer.objects.filter(pk=answer).update(status=Status.RUNNING, fence=2)

    async def story() -> None:
        log = EventLog()
        await log.raise_fence(conversation, answer, 2)
        before = await log.append(conversation, delta(answer, 0), answer_id=answer, fence=2)
        if loss == "everything":
            lose_everything(conversation)
        else:  # with its last second, the server forgot that the fence was raised
            restart_losing(conversation, 1)
            blocking_client().hset(key(conversation, "fences"), str(answer), "1")
        with pytest.raises(FencedOut):
            await log.append(conversation, delta(answer, 5, "zombie"), answer_id=answer, fence=1)
        after = await log.append(conversation, delta(answer, 5), answer_id=answer, fence=2)
        assert after.epoch != before.epoch, "the writer must see that its readers need a snapshot"

    asyncio.run(story())


async def test_takeover_reads_the_deltas_after_the_snapshot() -> None:
    log, conversation, answer, other = EventLog(), uuid4(), uuid4(), uuid4()
    written = [delta(answer, 5 * number) for number in range(4)]
    positions = []
    for event in written:
        positions.append(await log.append(conversation, event))
        await log.append(conversation, delta(other, event.at))
    assert await log.read_answer_deltas(conversation, answer, None) == written
    assert await log.read_answer_deltas(conversation, answer, positions[1]) == written[2:]
    restart_losing(conversation, 1)
    assert await log.read_answer_deltas(conversation, answer, positions[1]) == written, "a new epoch: all that is held"
    lose_everything(conversation)
    assert await log.read_answer_deltas(conversation, answer, positions[1]) == []


async def test_takeover_reads_more_than_a_page() -> None:
    log, conversation, answer = EventLog(), uuid4(), uuid4()
    written = [delta(answer, number) for number in range(1100)]
    for event in written:
        await log.append(conversation, event)
    assert await log.read_answer_deltas(conversation, answer, None) == written


async def test_threads_and_loops_write_the_same_log() -> None:
    conversation = uuid4()
    first = await asyncio.to_thread(BlockingEventLog().append, conversation, TitleChanged("from a thread"))
    second = await EventLog().append(conversation, TitleChanged("from a loop"))
    assert (first.epoch, first.seq + 1) == (second.epoch, second.seq)
    assert await asyncio.to_thread(BlockingEventLog().bounds, conversation) == Bounds(second, 1)


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("read"), st.integers(1, 3)),
        st.tuples(st.just("trim"), st.integers(0, 3)),
        st.tuples(st.just("restart"), st.integers(0, 3)),
        st.tuples(st.just("lose"), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_reader_misses_nothing_without_being_told(steps: list[Step]) -> None:
    """Whatever is lost: between two LOSTs a reader sees an unbroken run of what was written, and never an old epoch."""
    run(_follow(steps))


async def _follow(steps: list[Step]) -> None:
    log, conversation, written = EventLog(), uuid4(), 0
    position = await log.head(conversation)
    expected = 1  # the number of the next event that this reader must see
    for verb, count in [*steps, ("append", 1), ("read", 1000)]:
        if verb == "append":
            for _ in range(count):
                written += 1
                await log.append(conversation, TitleChanged(str(written)))
        elif verb == "trim":
            blocking_client().xtrim(key(conversation, "events"), maxlen=count, approximate=False)
        elif verb == "restart":
            restart_losing(conversation, count)
        elif verb == "lose":
            lose_everything(conversation)
        else:
            entries = await log.read_after(conversation, position, count)
            if entries is LOST:  # a snapshot of the rows, which hold all that was written
                position, expected = await log.head(conversation), written + 1
                continue
            for _, event in entries:
                assert event == TitleChanged(str(expected))
                expected += 1
            position = entries[-1][0] if entries else position
    assert expected == written + 1, "the reader has arrived"


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def read_all(log: EventLog, conversation: UUID, after: Position) -> list[tuple[Position, Event]]:
    entries = await log.read_after(conversation, after)
    assert entries is not LOST
    return entries
