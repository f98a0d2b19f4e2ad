"""The event log of a conversation: what readers follow, in order, from the position they have reached.

One Valkey stream a conversation; log.lua does each step at once. The log is never the only copy of anything for long:
rows are the truth, and a reader whose position is lost gets a snapshot of them. A changed epoch tells that it was lost.
"""

import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any, Literal
from uuid import UUID

from chatapp.answers import doorbell
from chatapp.answers.events import Delta, Event, Position, from_wire
from chatapp.answers.models import Answer, Status
from chatapp.answers.valkey import blocking_client, client
from chatapp.threads import in_thread

# About ten minutes of one answer at 15 events a second, 3 MB; a reader further behind gets a snapshot.
MAX_EVENTS = 10_000
# A tab that slept for an hour gets a snapshot; tabs that are awake keep their log alive.
TTL_S = int(timedelta(hours=1).total_seconds())
_PAGE = 1000


class Lost(Enum):
    LOST = "lost"


LOST = Lost.LOST
Entry = tuple[Position, Event]


class FencedOut(Exception):
    """Another runner has taken this answer over (or it has ended): the writer must stop, and write nothing more."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """`first` is the oldest seq still held (head + 1 when none is): positions from first - 1 on can be followed."""

    head: Position
    first: int

    def clamp(self, position: Position | None) -> Position:
        """The nearest place that can be followed and skips nothing after `position`; None: all that is held."""
        seq = position.seq if position and position.epoch == self.head.epoch else 0
        return Position(self.head.epoch, max(self.first - 1, min(seq, self.head.seq)))


class EventLog:
    """For asynchronous programs. Every method may raise RedisError while Valkey is away; all may then be repeated."""

    async def append(
        self, conversation_id: UUID, event: Event, *, answer_id: UUID | None = None, fence: int | None = None
    ) -> Position:
        """Adds the event, rings, and returns its place. With `answer_id`, only the holder of its fence may write.

        Raises FencedOut. A returned epoch other than that of the writer's last event means that the log was lost in
        between: its readers now ask for snapshots, so the writer stores one at once.
        """
        arguments = _append_arguments(event, answer_id, fence)
        reply = await self._call(conversation_id, "append", *arguments)
        if _must_ask_rows(reply, fence) and answer_id is not None and fence is not None:
            if not await in_thread(_fence_holds, answer_id, fence):
                raise FencedOut(f"answer {answer_id}: fence {fence} does not hold")
            await self.raise_fence(conversation_id, answer_id, fence)
            reply = await self._call(conversation_id, "append", *arguments)
        position = _position(reply, answer_id, fence)
        await doorbell.ring_conversation(conversation_id)
        return position

    async def raise_fence(self, conversation_id: UUID, answer_id: UUID, fence: int) -> None:
        """From now on only `fence` may write for this answer. Raises FencedOut where a higher one holds already."""
        _position(await self._call(conversation_id, "raise", str(answer_id), fence), answer_id, fence)

    async def read_after(
        self, conversation_id: UUID, after: Position, limit: int = 200
    ) -> list[Entry] | Literal[Lost.LOST]:
        """At most `limit` events after the position, in order; LOST when the log does not hold all that followed."""
        return _entries(await self._call(conversation_id, "read", after.epoch, after.seq, limit))

    async def read_answer_deltas(self, conversation_id: UUID, answer_id: UUID, after: Position | None) -> list[Delta]:
        """All deltas of the answer that the log still holds after the snapshot: what readers have been shown.

        After a change of epoch the numbers say nothing, so all of its deltas come; apply them by `at`, which makes
        an overlap harmless, and stop at a gap.
        """
        bounds = await self.bounds(conversation_id)
        seq = bounds.clamp(after).seq
        deltas: list[Delta] = []
        while True:
            page = _entries(await self._call(conversation_id, "read", "", seq, _PAGE))
            assert page is not LOST, "reading without an epoch takes what is there"
            deltas += [event for _, event in page if isinstance(event, Delta) and event.answer == answer_id]
            if len(page) < _PAGE:
                return deltas
            seq = page[-1][0].seq

    async def bounds(self, conversation_id: UUID) -> Bounds:
        return _bounds(await self._call(conversation_id, "read", "", 0, 0))

    async def head(self, conversation_id: UUID) -> Position:
        """The place after the newest event; a log that is not there is begun."""
        return (await self.bounds(conversation_id)).head

    async def _call(self, conversation_id: UUID, verb: str, *arguments: str | int) -> list[Any]:
        script = client().register_script(_source())
        reply: list[Any] = await script(keys=_keys(conversation_id), args=[verb, _new_epoch(), TTL_S, *arguments])
        return reply


class BlockingEventLog:
    """The same for services, which run in threads; they write without a fence, after their commit."""

    def append(self, conversation_id: UUID, event: Event) -> Position:
        position = _position(self._call(conversation_id, "append", *_append_arguments(event, None, None)), None, None)
        doorbell.ring_conversation_blocking(conversation_id)
        return position

    def raise_fence(self, conversation_id: UUID, answer_id: UUID, fence: int) -> None:
        _position(self._call(conversation_id, "raise", str(answer_id), fence), answer_id, fence)

    def bounds(self, conversation_id: UUID) -> Bounds:
        return _bounds(self._call(conversation_id, "read", "", 0, 0))

    def _call(self, conversation_id: UUID, verb: str, *arguments: str | int) -> list[Any]:
        script = blocking_client().register_script(_source())
        reply: list[Any] = script(keys=_keys(conversation_id), args=[verb, _new_epoch(), TTL_S, *arguments])
        return reply


@cache
def _source() -> str:
    return (files("chatapp.answers") / "log.lua").read_text(encoding="utf-8")


def _keys(conversation_id: UUID) -> list[str]:
    """The braces keep the keys of one conversation on one node of a cluster."""
    return [f"sonde:log:{{{conversation_id}}}:{part}" for part in ("events", "meta", "fences")]


def _new_epoch() -> str:
    return secrets.token_hex(6)


def _append_arguments(event: Event, answer_id: UUID | None, fence: int | None) -> list[str | int]:
    assert (answer_id is None) == (fence is None), "a fence belongs to an answer"
    body = json.dumps(event.to_wire(), ensure_ascii=False, separators=(",", ":"))
    return [body, str(answer_id or ""), fence if fence is not None else 0, MAX_EVENTS]


def _must_ask_rows(reply: list[Any], fence: int | None) -> bool:
    """A log that was lost knows no fence, or an older one: then the row of the answer decides."""
    return reply[0] == b"fence" and fence is not None and int(reply[1]) < fence


def _fence_holds(answer_id: UUID, fence: int) -> bool:
    return Answer.objects.filter(pk=answer_id, status=Status.RUNNING, fence=fence).exists()


def _position(reply: list[Any], answer_id: UUID | None, fence: int | None) -> Position:
    if reply[0] == b"fence":
        raise FencedOut(f"answer {answer_id}: fence {fence} is below {int(reply[1])}")
    return Position(reply[1].decode(), int(reply[2]))


def _bounds(reply: list[Any]) -> Bounds:
    return Bounds(Position(reply[1].decode(), int(reply[2])), int(reply[3]))


def _entries(reply: list[Any]) -> list[Entry] | Literal[Lost.LOST]:
    if reply[0] == b"lost":
        return LOST
    epoch = reply[1].decode()
    return [
        (Position(epoch, int(entry_id.split(b"-")[0])), from_wire(json.loads(values[1])))
        for entry_id, values in reply[4]
    ]
