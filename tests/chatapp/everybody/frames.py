"""The table of frames from the browser: who is served and with what. A type without a row fails a test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chatapp.everybody.people import OWNERS, READERS, SIGNED_IN, TEAM, WRITERS

SILENCE = ""


@dataclass(frozen=True, slots=True)
class FrameRow:
    """`reply` is the type of the frame that answers; whoever is not let in gets an error with the code `refused`."""

    type: str
    let_in: frozenset[str]
    reply: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    refused: str = "not_found"
    about: str = ""

    @property
    def id(self) -> str:
        return f"{self.type} {self.about}".strip()

    def is_refused(self, person: str) -> bool:
        return person in SIGNED_IN and person not in self.let_in


QUESTION = {"client_id": "{new}", "text": "Where?"}

FRAMES = (
    FrameRow("ping", TEAM, "pong"),
    FrameRow("subscribe", READERS, "snapshot", {"conversation": "{conversation_id}", "after": None}),
    FrameRow("unsubscribe", TEAM, SILENCE, {"conversation": "{conversation_id}"}),
    FrameRow("send_message", TEAM, "accepted", QUESTION, about="in a new chat"),
    FrameRow("send_message", WRITERS, "accepted", {**QUESTION, "conversation": "{conversation_id}"}),
    FrameRow("send_message", READERS, "accepted", {**QUESTION, "uploads": ["{upload_id}"]}, about="with a file"),
    FrameRow("send_message", READERS, "accepted", {**QUESTION, "collections": ["{collection_id}"]}, about="to a set"),
    FrameRow("send_message", READERS, "accepted", {**QUESTION, "folder": "{folder_id}"}, about="into a folder"),
    FrameRow("send_message", READERS, "accepted", {**QUESTION, "preset": "{preset_id}"}, about="with a preset"),
    FrameRow("send_message", TEAM, "accepted", {**QUESTION, "temporary": True}, about="in a temporary chat"),
    FrameRow(
        "send_message", OWNERS, "accepted", {**QUESTION, "conversation": "{temporary_id}"}, about="to a temporary chat"
    ),
    FrameRow("regenerate", WRITERS, "accepted", {"client_id": "{new}", "message": "{message_id}"}),
    FrameRow("continue_answer", WRITERS, "accepted", {"client_id": "{new}", "message": "{message_id}"}),
    FrameRow("replay_answer", WRITERS, "accepted", {"client_id": "{new}", "answer": "{answer_id}"}),
    FrameRow("cancel_answer", WRITERS, "accepted", {"client_id": "{new}", "answer": "{answer_id}"}),
)
