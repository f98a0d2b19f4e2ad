"""What a tab shows of a conversation: the rules of static/js/models/conversation_stream.js, in Python, with a memory.

Knows offsets and order; knows no socket. Lengths are UTF-16 units. `losses` keeps what no reader may ever see: text
that was shown and is gone, or that became other text.
"""

from dataclasses import dataclass, replace
from typing import Any

RANK = {"queued": 0, "running": 1, "finished": 2, "failed": 2, "cancelled": 2}
OPEN = ("queued", "running")


@dataclass(slots=True)
class Message:
    id: str
    parent: str | None
    role: str
    answer: str | None = None
    status: str | None = None
    error_code: str = ""
    finish_reason: str = ""
    text: str = ""
    reasoning: str = ""

    @property
    def is_ended(self) -> bool:
        return self.status is not None and self.status not in OPEN


class Shown:
    """The messages of one conversation and the reader's position. `apply` returns False where text is missing."""

    def __init__(self, position: str | None = None) -> None:
        self.position = position
        self.messages: dict[str, Message] = {}
        self.losses: list[str] = []
        self.endings: list[tuple[str, str]] = []  # every first answer_ended: (answer, status)
        self.num_snapshots = 0

    def apply_snapshot(self, frame: dict[str, Any]) -> None:
        self.position = frame["position"]
        self.num_snapshots += 1
        for wire in frame["messages"]:
            answer = wire["answer"] or {}
            fresh = Message(
                wire["id"],
                wire["parent"],
                wire["role"],
                answer.get("id"),
                answer.get("status"),
                answer.get("error_code", ""),
                answer.get("finish_reason", ""),
                wire["text"],
                wire["reasoning"],
            )
            self._hold(fresh)

    def hold_page(self, other: "Shown", text: str) -> None:
        """What a page of this conversation holds: the messages another reader knows, the last with this text."""
        self.messages = {id: replace(message) for id, message in other.messages.items()}
        list(self.messages.values())[-1].text = text

    def apply(self, frame: dict[str, Any]) -> bool:
        is_whole = self._apply(frame["event"])
        if is_whole:
            self.position = frame["id"]
        return is_whole

    def _hold(self, fresh: Message) -> None:
        known = self.messages.get(fresh.id)
        if known is not None:
            if fresh.answer == known.answer and RANK.get(fresh.status or "", 0) < RANK.get(known.status or "", 0):
                return  # rows read before an event that is already here
            fresh.text = self._merged(known.text, fresh.text, fresh)
            fresh.reasoning = self._merged(known.reasoning, fresh.reasoning, fresh)
        self.messages[fresh.id] = fresh

    def _merged(self, held: str, fresh: str, message: Message) -> str:
        if message.status in OPEN and held.startswith(fresh):
            return held  # the rows are up to two seconds behind the log
        if not fresh.startswith(held):
            self.losses.append(
                f"{message.status} {message.id}: {len(held)} characters shown, {len(fresh)} in a snapshot"
            )
        return fresh

    def _apply(self, event: dict[str, Any]) -> bool:
        if event["kind"] == "title_changed":
            return True
        if event["kind"] == "message_added":
            if event["message"] not in self.messages:
                status = "queued" if event["answer"] else None
                message = Message(event["message"], event["parent"], event["role"], event["answer"], status)
                self.messages[message.id] = message
            return True
        message_or_none = self.messages.get(event["message"])
        if message_or_none is None:
            return True  # of another branch
        message = message_or_none
        if event["answer"] != message.answer and message.status in OPEN:
            return True  # an older answer's echo
        match event["kind"]:
            case "answer_queued":
                self._advance(message, event, "queued")
            case "answer_started":
                if event["at_text"] > units(message.text) or event["at_reasoning"] > units(message.reasoning):
                    return False
                self._advance(message, event, "running")
            case "delta":
                return self._extend(message, event)
            case "answer_ended":
                return self._end(message, event)
        return True

    def _advance(self, message: Message, event: dict[str, Any], status: str) -> None:
        if event["answer"] != message.answer or RANK[status] > RANK[message.status or "queued"]:
            message.answer, message.status, message.error_code, message.finish_reason = event["answer"], status, "", ""

    def _extend(self, message: Message, event: dict[str, Any]) -> bool:
        held, text, at = getattr(message, event["part"]), event["text"], event["at"]
        if at > units(held):
            return False
        begun, fresh = cut(text, units(held) - at)
        if begun != cut(cut(held, at)[1], units(text))[0]:
            self.losses.append(f"{message.id}: the log tells other text at {at} than what was shown")
        setattr(message, event["part"], held + fresh)
        return True

    def _end(self, message: Message, event: dict[str, Any]) -> bool:
        if event["length_text"] > units(message.text) or event["length_reasoning"] > units(message.reasoning):
            return False
        if event["length_text"] < units(message.text):
            self.losses.append(f"{message.id}: ended with {event['length_text']} units, {units(message.text)} shown")
        if event["answer"] == message.answer and message.is_ended:
            if message.status != event["status"]:
                self.losses.append(f"{message.id}: ended {message.status}, then {event['status']}")
            return True
        message.answer, message.status = event["answer"], event["status"]
        message.error_code, message.finish_reason = event["error_code"], event["finish_reason"]
        self.endings.append((event["answer"], event["status"]))
        return True


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def cut(text: str, at: int) -> tuple[str, str]:
    """The text before and after so many UTF-16 units."""
    raw = text.encode("utf-16-le")
    return raw[: 2 * at].decode("utf-16-le"), raw[2 * at :].decode("utf-16-le")
