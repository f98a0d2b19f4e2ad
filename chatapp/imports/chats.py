"""A chat as any export tells it, made into ours: a tree in which questions and answers take turns.

Exports have nodes that nobody said (roots, system texts, calls of tools), several answers in a row, and sometimes no
question at all. Knows no database.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

MAX_MESSAGES = 20_000  # of one chat
MAX_TEXT = 1_000_000  # characters of one message, as a question may have
MAX_TITLE = 200
Role = Literal["user", "assistant"]


class BadChat(Exception):
    """`code`: unknown_format, empty, too_many_messages, too_long, broken."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Node:
    """As the export has it. `role` is empty for what is left out; its children hang on its parent."""

    id: str
    parent: str | None
    role: Role | Literal[""]
    text: str
    at: datetime | None = None
    model: str = ""
    reasoning: str = ""


@dataclass(slots=True)
class Said:
    """A message of ours, by its place among those of its chat."""

    parent: int | None
    role: Role
    text: str
    at: datetime | None
    model: str = ""
    reasoning: str = ""
    children: int = 0


@dataclass(slots=True)
class Chat:
    title: str
    said: list[Said] = field(default_factory=list)
    active: int | None = None  # the end of the branch that was shown
    at: datetime | None = None

    @property
    def digest(self) -> str:
        """The same for the same words in the same places, whenever and from wherever they come."""
        told = [self.title, [[each.parent, each.role, each.text] for each in self.said]]
        return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()


def chat_of(title: object, nodes: Iterable[Node], shown: str | None, at: datetime | None = None) -> Chat:
    """`shown` is the export's id of the end of the shown branch. Raises BadChat."""
    by_id: dict[str, Node] = {}
    for node in nodes:
        by_id.setdefault(node.id, node)
        if len(by_id) > MAX_MESSAGES:
            raise BadChat("too_many_messages")
    chat = Chat(clean(title)[:MAX_TITLE], at=at)
    place = _place_all(chat, by_id)
    if not chat.said:
        raise BadChat("empty" if not by_id or len(place) == len(by_id) else "broken")
    active = place.get(shown) if shown else None
    chat.active = active if active is not None else len(chat.said) - 1
    return chat


def clean(text: object) -> str:
    """What PostgreSQL can store: no NUL, no half of a surrogate pair. Raises BadChat."""
    if not isinstance(text, str):
        return ""
    if len(text) > MAX_TEXT:
        raise BadChat("too_long")
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def moment(value: object) -> datetime | None:
    """Seconds or milliseconds since 1970, or ISO 8601; None for what is neither, or not of our days."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value.replace("Z", "+00:00"))
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return found if datetime(2000, 1, 1, tzinfo=UTC) < found <= datetime.now(UTC) else None


def _place_all(chat: Chat, by_id: dict[str, Node]) -> dict[str, int | None]:
    """Where each node went: parents first, without recursion. A node in a circle is reached by nobody."""
    children: dict[str | None, list[str]] = defaultdict(list)
    for node in by_id.values():
        parent = node.parent if node.parent in by_id and node.parent != node.id else None
        children[parent].append(node.id)
    place: dict[str, int | None] = {}
    waiting = list(reversed(children[None]))
    while waiting:
        node = by_id[waiting.pop()]
        if node.id in place:
            continue
        above = place.get(node.parent) if node.parent is not None else None
        siblings = len(children[node.parent if node.parent in by_id else None])
        place[node.id] = _place(chat, node, above, is_alone=siblings == 1) if node.role and node.text.strip() else above
        waiting += reversed(children[node.id])
    return place


def _place(chat: Chat, node: Node, above: int | None, *, is_alone: bool) -> int:
    assert node.role, "what is left out has no place"
    if above is None and node.role == "assistant":
        above = _add(chat, Said(None, "user", "…", node.at))  # an answer answers something
    if above is not None and chat.said[above].role == node.role:
        held = chat.said[above]
        text = f"{held.text}\n\n{node.text}"
        if len(text) > MAX_TEXT:
            raise BadChat("too_long")
        if is_alone and not held.children:
            held.text = text
            return above
        return _add(chat, Said(held.parent, node.role, text, node.at, node.model, node.reasoning))
    return _add(chat, Said(above, node.role, node.text, node.at, node.model, node.reasoning))


def _add(chat: Chat, said: Said) -> int:
    if len(chat.said) >= MAX_MESSAGES:
        raise BadChat("too_many_messages")
    if said.parent is not None:
        chat.said[said.parent].children += 1
    chat.said.append(said)
    return len(chat.said) - 1
