"""Frames from the browser: every type as a class, decoded with clear errors. Knows no socket and no database."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from chatapp.answers.events import Position
from chatapp.errors import Invalid

MAX_FRAME = 1024 * 1024  # characters


@dataclass(frozen=True, slots=True)
class Subscribe:
    conversation: UUID
    after: Position | None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    conversation: UUID


@dataclass(frozen=True, slots=True)
class SendMessage:
    client_id: UUID
    conversation: UUID | None
    parent: UUID | None
    text: str
    thinking: bool
    endpoint: UUID | None
    uploads: tuple[UUID, ...]
    collections: tuple[UUID, ...]
    read_all: bool
    search: bool
    deep: bool
    preset: UUID | None
    folder: UUID | None
    temporary: bool


@dataclass(frozen=True, slots=True)
class Regenerate:
    client_id: UUID
    message: UUID
    thinking: bool
    endpoint: UUID | None
    search: bool
    deep: bool
    preset: UUID | None


@dataclass(frozen=True, slots=True)
class ContinueAnswer:
    client_id: UUID
    message: UUID


@dataclass(frozen=True, slots=True)
class ReplayAnswer:
    client_id: UUID
    answer: UUID


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    client_id: UUID | None
    answer: UUID


@dataclass(frozen=True, slots=True)
class Ping:
    pass


Request = SendMessage | Regenerate | ContinueAnswer | ReplayAnswer | CancelAnswer
Frame = Subscribe | Unsubscribe | Request | Ping


def read_object(text: str | None) -> dict[str, Any]:
    """The JSON object of a frame. Raises Invalid."""
    if text is None or len(text) > MAX_FRAME:
        raise Invalid("frame", _("A frame is JSON text of at most %(limit)s characters.") % {"limit": MAX_FRAME})
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid("frame", _("A frame must be JSON.")) from error
    if not isinstance(values, dict):
        raise Invalid("frame", _("A frame must be a JSON object."))
    return values


def decode(values: dict[str, Any]) -> Frame:
    """Raises Invalid, naming the field: of the wrong type, missing, or unknown."""
    fields = Fields(values)
    decoder = _DECODERS.get(fields.text("type"))
    if decoder is None:
        raise Invalid("type", _("There is no frame of this type."), code="unknown_type")
    frame = decoder(fields)
    fields.refuse_others()
    return frame


class Fields:
    """Typed readers over one frame; remembers the names it was asked for."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._known: set[str] = set()

    def text(self, name: str) -> str:
        """Text that PostgreSQL can store: no NUL, no half of a surrogate pair."""
        value = self._value(name)
        if not isinstance(value, str):
            raise _wrong(name, "text")
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise Invalid(name, _("The text contains characters that cannot be stored."))
        return value

    def id(self, name: str) -> UUID:
        id = self.id_or_none(name)
        if id is None:
            raise _wrong(name, "a UUID")
        return id

    def id_or_none(self, name: str) -> UUID | None:
        value = self._value(name)
        if value is None:
            return None
        return _uuid(name, value)

    def ids(self, name: str) -> tuple[UUID, ...]:
        """A list of ids, or nothing."""
        value = self._value(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise _wrong(name, "a list of UUIDs")
        return tuple(_uuid(name, each) for each in value)

    def flag(self, name: str) -> bool:
        value = self._value(name)
        if value is not None and not isinstance(value, bool):
            raise _wrong(name, "true or false")
        return bool(value)

    def position_or_none(self, name: str) -> Position | None:
        value = self._value(name)
        if value is None:
            return None
        try:
            return Position.parse(value)
        except (ValueError, AttributeError) as error:
            raise _wrong(name, "<epoch>-<seq>") from error

    def refuse_others(self) -> None:
        unknown = sorted(self._values.keys() - self._known)
        if unknown:
            raise Invalid(unknown[0][:60], _("This frame has no such field."), code="unknown_field")

    def _value(self, name: str) -> Any:
        self._known.add(name)
        return self._values.get(name)


def id_of(values: dict[str, Any], name: str) -> UUID | None:
    """An id of a frame that is refused, so that the browser knows which one it was."""
    try:
        return Fields(values).id_or_none(name)
    except Invalid:
        return None


def _uuid(name: str, value: Any) -> UUID:
    try:
        return UUID(value) if len(value) == 36 else UUID("")
    except (ValueError, TypeError, AttributeError) as error:
        raise _wrong(name, "a UUID") from error


def _wrong(name: str, kind: str) -> Invalid:
    return Invalid(name, _("%(name)s must be %(kind)s.") % {"name": name, "kind": kind})


def _send_message(fields: Fields) -> SendMessage:
    return SendMessage(
        client_id=fields.id("client_id"),
        conversation=fields.id_or_none("conversation"),
        parent=fields.id_or_none("parent"),
        text=fields.text("text"),
        thinking=fields.flag("thinking"),
        endpoint=fields.id_or_none("endpoint"),
        uploads=fields.ids("uploads"),
        collections=fields.ids("collections"),
        read_all=fields.flag("read_all"),
        search=fields.flag("search"),
        deep=fields.flag("deep"),
        preset=fields.id_or_none("preset"),
        folder=fields.id_or_none("folder"),
        temporary=fields.flag("temporary"),
    )


def _regenerate(fields: Fields) -> Regenerate:
    return Regenerate(
        client_id=fields.id("client_id"),
        message=fields.id("message"),
        thinking=fields.flag("thinking"),
        endpoint=fields.id_or_none("endpoint"),
        search=fields.flag("search"),
        deep=fields.flag("deep"),
        preset=fields.id_or_none("preset"),
    )


_DECODERS: dict[str, Callable[[Fields], Frame]] = {
    "subscribe": lambda fields: Subscribe(fields.id("conversation"), fields.position_or_none("after")),
    "unsubscribe": lambda fields: Unsubscribe(fields.id("conversation")),
    "send_message": _send_message,
    "regenerate": _regenerate,
    "continue_answer": lambda fields: ContinueAnswer(fields.id("client_id"), fields.id("message")),
    "replay_answer": lambda fields: ReplayAnswer(fields.id("client_id"), fields.id("answer")),
    "cancel_answer": lambda fields: CancelAnswer(fields.id_or_none("client_id"), fields.id("answer")),
    "ping": lambda fields: Ping(),
}

TYPES = frozenset(_DECODERS)
