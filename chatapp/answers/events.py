"""The events of a conversation's log as types, and their wire form. Knows no database, no Valkey, no clock.

Every event may be applied twice without harm. Text offsets count UTF-16 units, as JavaScript does.
"""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

Part = Literal["text", "reasoning"]
Wire = dict[str, Any]


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a log: after the event with this seq; 0 is before the first."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for anything but `<epoch>-<seq>`."""
        epoch, dash, seq = text.partition("-")
        if not (dash and epoch.isascii() and epoch.isalnum() and len(epoch) <= 32):
            raise ValueError(f"position {text[:60]!r} must be <epoch>-<seq>")
        if not (seq.isascii() and seq.isdigit() and len(seq) <= 15):
            raise ValueError(f"position {text[:60]!r} must end with a number of at most 15 digits")
        return cls(epoch, int(seq))


@dataclass(frozen=True, slots=True)
class Event:
    """Ids are UUIDs here and strings on the wire; the wire form carries `kind` beside the fields."""

    kind: ClassVar[str]

    def to_wire(self) -> Wire:
        return {"kind": self.kind, **{f.name: _plain(getattr(self, f.name)) for f in fields(self)}}

    def to_browser(self) -> Wire:
        """What readers get; less than the log holds where a field serves the runner only."""
        return self.to_wire()


@dataclass(frozen=True, slots=True)
class MessageAdded(Event):
    kind: ClassVar[str] = "message_added"
    message: UUID
    parent: UUID | None
    role: str
    answer: UUID | None


@dataclass(frozen=True, slots=True)
class AnswerQueued(Event):
    kind: ClassVar[str] = "answer_queued"
    answer: UUID
    message: UUID


@dataclass(frozen=True, slots=True)
class AnswerStarted(Event):
    """`at_text`, `at_reasoning`: lengths already there, from an earlier attempt or a runner that went away."""

    kind: ClassVar[str] = "answer_started"
    answer: UUID
    message: UUID
    at_text: int = 0
    at_reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Delta(Event):
    """`at` is the offset before this delta: what lies before the end of the text held is an overlap, beyond is a gap.

    `token_ids` let another runner continue exactly; they stay in the log.
    """

    kind: ClassVar[str] = "delta"
    answer: UUID
    message: UUID
    part: Part
    at: int
    text: str
    token_ids: tuple[int, ...] = ()

    def to_browser(self) -> Wire:
        wire = self.to_wire()
        del wire["token_ids"]
        return wire


@dataclass(frozen=True, slots=True)
class Notice(Event):
    kind: ClassVar[str] = "notice"
    answer: UUID
    message: UUID
    code: str
    params: Wire = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerEnded(Event):
    kind: ClassVar[str] = "answer_ended"
    answer: UUID
    message: UUID
    status: str
    error_code: str = ""
    finish_reason: str = ""
    length_text: int = 0
    length_reasoning: int = 0


@dataclass(frozen=True, slots=True)
class AnswerChecked(Event):
    """The cited sentences of an ended answer have been held against their sources."""

    kind: ClassVar[str] = "answer_checked"
    answer: UUID
    message: UUID


@dataclass(frozen=True, slots=True)
class TitleChanged(Event):
    kind: ClassVar[str] = "title_changed"
    title: str


_KINDS: dict[str, type[Event]] = {
    event.kind: event
    for event in (
        MessageAdded,
        AnswerQueued,
        AnswerStarted,
        Delta,
        Notice,
        AnswerEnded,
        AnswerChecked,
        TitleChanged,
    )
}
_IDS = frozenset({"message", "parent", "answer"})


def from_wire(wire: Wire) -> Event:
    """The event that to_wire() wrote. Raises KeyError or TypeError for anything else: the log is ours alone."""
    values = {name: _typed(name, value) for name, value in wire.items() if name != "kind"}
    return _KINDS[wire["kind"]](**values)


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _typed(name: str, value: Any) -> Any:
    if name in _IDS and value is not None:
        return UUID(value)
    return tuple(value) if isinstance(value, list) else value
