"""One chat as a document: Markdown of the shown branch, JSON of the whole tree. Asks nobody for rights: views have.

PDF is the browser's: it has the reader's fonts, sets Chinese, Arabic and formulas as the page does, and embeds what it
uses. A library here would bring fonts of its own (Noto CJK alone is 16 MB a face), and would set Markdown, formulas and
two directions of writing a second time, worse.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from chatapp.answers.models import Answer
from chatapp.conversations.models import Conversation, Message
from chatapp.conversations.selectors import Thread
from chatapp.files.shown import ShownFile, files_of

FORMAT, VERSION = "sonde-chat", 1
MAX_STEM = 80  # characters of a file's name


def as_markdown(thread: Thread, question: str, answer: str) -> str:
    """`question` and `answer` are the headings, in the reader's language. Sources follow the answer that names them."""
    parts = [f"# {one_line(thread.conversation.title) or thread.conversation.pk}"]
    for item in thread.items:
        parts.append(f"## {question if item.message.role == Message.Role.USER else answer}")
        parts += [_attached(item.files)] if item.files else []
        parts.append(item.message.text.strip())
        if item.sources and item.sources.rows:
            parts.append("\n".join(f"- [{row.number}] {_source(row.name, row.words)}" for row in item.sources.rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(conversation: Conversation) -> str:
    """Every branch; times are ISO 8601. Read again by chatapp.imports."""
    messages = list(Message.objects.filter(conversation=conversation).order_by("created_at", "id"))
    files = files_of([message.pk for message in messages])
    attempts = Answer.objects.filter(message__conversation=conversation).order_by("created_at", "id")
    newest = {attempt.message_id: attempt for attempt in attempts.defer("token_ids", "request")}
    wire = {
        "format": FORMAT,
        "version": VERSION,
        "id": str(conversation.pk),
        "title": conversation.title,
        "created_at": conversation.created_at.isoformat(),
        "active_leaf": str(conversation.active_leaf_id or ""),
        "messages": [_message(message, newest.get(message.pk), files.get(message.pk, [])) for message in messages],
    }
    return json.dumps(wire, ensure_ascii=False, indent=1)


def file_stem(conversation: Conversation) -> str:
    """A name that every file system takes, and that no two chats share."""
    words = re.sub(r"[^\w .-]+", " ", conversation.title)
    title = " ".join(words.split())[:MAX_STEM].strip(" .") or "chat"
    return f"{title} {str(conversation.pk)[:8]}"


def one_line(text: str) -> str:
    return " ".join(text.split())


def _message(message: Message, attempt: Answer | None, files: list[ShownFile]) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "id": str(message.pk),
        "parent": str(message.parent_id) if message.parent_id else None,
        "role": message.role,
        "text": message.text,
        "created_at": message.created_at.isoformat(),
    }
    if files:
        wire["files"] = [file.name for file in files]
    if attempt is not None:
        wire |= dict(_attempt(attempt))
    return wire


def _attempt(attempt: Answer) -> Iterator[tuple[str, str]]:
    yield "status", attempt.status
    yield "model", attempt.model_name
    if attempt.reasoning:
        yield "reasoning", attempt.reasoning


def _attached(files: list[ShownFile]) -> str:
    return "\n".join(f"- 📎 {one_line(file.name)}" for file in files)


def _source(name: str, words: str) -> str:
    return ", ".join(one_line(part) for part in (name, words) if part)
