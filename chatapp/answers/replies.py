"""Frames to the browser, as docs/protocol.md lists them."""

from uuid import UUID

from chatapp.answers.events import Event, Position, Wire
from chatapp.answers.models import Answer
from chatapp.answers.services import Accepted
from chatapp.conversations.selectors import Thread, ThreadItem
from chatapp.errors import ChatError


def accepted_frame(accepted: Accepted, client_id: UUID | None) -> Wire:
    return {
        "type": "accepted",
        "client_id": _text(client_id),
        "conversation": str(accepted.conversation_id),
        "message": _text(accepted.message_id),
        "reply": str(accepted.reply_id),
        "answer": str(accepted.answer_id),
    }


def error_frame(error: ChatError, client_id: UUID | None = None, conversation_id: UUID | None = None) -> Wire:
    """Call it in the language of the reader: this is where the words are chosen."""
    wire: Wire = {"type": "error", **error.to_wire()}
    return {**wire, "client_id": _text(client_id), "conversation": _text(conversation_id)}


def event_frame(conversation_id: UUID, position: Position, event: Event) -> Wire:
    return {"type": "event", "conversation": str(conversation_id), "id": str(position), "event": event.to_browser()}


def snapshot_frame(thread: Thread) -> Wire:
    return {
        "type": "snapshot",
        "conversation": str(thread.conversation.pk),
        "position": thread.position,
        "title": thread.conversation.title,
        "messages": [_message(item) for item in thread.items],
    }


def ended_frame(conversation_id: UUID) -> Wire:
    return {"type": "ended", "conversation": str(conversation_id)}


def _message(item: ThreadItem) -> Wire:
    return {
        "id": str(item.message.pk),
        "parent": _text(item.message.parent_id),
        "role": item.message.role,
        "text": item.message.text,
        "reasoning": item.answer.reasoning if item.answer else "",
        "answer": _answer(item.answer) if item.answer else None,
    }


def _answer(answer: Answer) -> Wire:
    return {
        "id": str(answer.pk),
        "status": answer.status,
        "error_code": answer.error_code,
        "finish_reason": answer.finish_reason,
    }


def _text(id: UUID | None) -> str | None:
    return None if id is None else str(id)
