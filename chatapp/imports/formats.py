"""The exports that we read, each told by its own marks. Believes no field to be of the type that it should be.

ChatGPT's conversations.json: a list of {title, mapping, current_node}; mapping has nodes {message, parent}.
Open WebUI: a list of {title, chat: {history: {messages, currentId}}}; messages have {parentId, role, content}.
LibreChat: {conversationId, title, messages}, flat with parentMessageId, or `recursive` with children.
Sonde: {format: "sonde-chat", messages, active_leaf}.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

from chatapp.imports.chats import BadChat, Chat, Node, Role, chat_of, clean, moment

Wire = dict[str, Any]
_LIBRECHAT_ROOT = "00000000-0000-0000-0000-000000000000"


def read_chat(wire: Wire) -> tuple[str, Chat]:
    """The name of the format, and the chat. Raises BadChat."""
    for name, is_it, read in _FORMATS:
        if is_it(wire):
            return name, read(wire)
    raise BadChat("unknown_format")


def _chatgpt(wire: Wire) -> Chat:
    nodes = (_chatgpt_node(str(id), _dict(node)) for id, node in _dict(wire["mapping"]).items())
    return chat_of(wire.get("title"), nodes, _text(wire.get("current_node")), moment(wire.get("create_time")))


def _chatgpt_node(id: str, node: Wire) -> Node:
    message, parent = _dict(node.get("message")), _text(node.get("parent"))
    metadata, content = _dict(message.get("metadata")), _dict(message.get("content"))
    role = _role(_dict(message.get("author")).get("role"))
    kind = content.get("content_type")
    is_said = kind in ("text", "multimodal_text") and message.get("recipient") in (None, "all")
    if not is_said or metadata.get("is_visually_hidden_from_conversation") is True:
        return Node(id, parent, "", "")
    parts = [each if isinstance(each, str) else _dict(each).get("text") for each in _list(content.get("parts"))]
    text = clean("\n\n".join(part for part in parts if isinstance(part, str) and part))
    return Node(id, parent, role, text, moment(message.get("create_time")), clean(metadata.get("model_slug"))[:200])


def _open_webui(wire: Wire) -> Chat:
    chat = _dict(wire["chat"])
    history = _dict(chat.get("history"))
    nodes = (_open_webui_node(str(id), _dict(each)) for id, each in _dict(history.get("messages")).items())
    title = wire.get("title") or chat.get("title")
    return chat_of(title, nodes, _text(history.get("currentId")), moment(wire.get("created_at")))


def _open_webui_node(id: str, message: Wire) -> Node:
    content = message.get("content")
    if isinstance(content, list):
        content = "\n\n".join(str(each["text"]) for each in map(_dict, content) if isinstance(each.get("text"), str))
    return Node(
        id,
        _text(message.get("parentId")),
        _role(message.get("role")),
        clean(content),
        moment(message.get("timestamp")),
        clean(message.get("model"))[:200],
    )


def _librechat(wire: Wire) -> Chat:
    told = _list(wire.get("messages") or wire.get("messagesTree"))
    nodes = list(_librechat_nodes(told))
    return chat_of(wire.get("title"), nodes, nodes[-1].id if nodes else None, nodes[0].at if nodes else None)


def _librechat_nodes(told: list[Any]) -> Iterator[Node]:
    """Of both shapes; without recursion, however deep the children lie."""
    waiting: list[tuple[Any, str | None]] = [(each, None) for each in reversed(told)]
    while waiting:
        message, above = _dict(waiting[-1][0]), waiting.pop()[1]
        id, parent = _text(message.get("messageId")), _text(message.get("parentMessageId")) or above
        if id is None:
            continue
        role: Role = "user" if message.get("isCreatedByUser") is True else "assistant"
        text = message.get("text") or "\n\n".join(
            part for part in map(_librechat_part, _list(message.get("content"))) if part
        )
        model = "" if role == "user" else clean(message.get("model"))[:200]
        yield Node(
            id,
            None if parent == _LIBRECHAT_ROOT else parent,
            role,
            clean(text),
            moment(message.get("createdAt")),
            model,
        )
        waiting += [(child, id) for child in reversed(_list(message.get("children")))]


def _librechat_part(part: Any) -> str:
    """Text alone: thoughts and calls of tools stand beside it. Newer ones have {"text": {"value"}}."""
    wire = _dict(part)
    text = wire.get("text")
    text = _dict(text).get("value") if isinstance(text, dict) else text
    return text if wire.get("type") == "text" and isinstance(text, str) else ""


def _sonde(wire: Wire) -> Chat:
    nodes = (_sonde_node(_dict(each)) for each in _list(wire.get("messages")))
    return chat_of(wire.get("title"), nodes, _text(wire.get("active_leaf")), moment(wire.get("created_at")))


def _sonde_node(message: Wire) -> Node:
    return Node(
        str(message.get("id")),
        _text(message.get("parent")),
        _role(message.get("role")),
        clean(message.get("text")),
        moment(message.get("created_at")),
        clean(message.get("model"))[:200],
        clean(message.get("reasoning")),
    )


def _role(value: object) -> Role | Literal[""]:
    return "user" if value == "user" else "assistant" if value == "assistant" else ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _dict(value: object) -> Wire:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


_FORMATS: tuple[tuple[str, Callable[[Wire], bool], Callable[[Wire], Chat]], ...] = (
    ("Sonde", lambda wire: wire.get("format") == "sonde-chat", _sonde),
    ("ChatGPT", lambda wire: isinstance(wire.get("mapping"), dict), _chatgpt),
    ("Open WebUI", lambda wire: isinstance(_dict(wire.get("chat")).get("history"), dict), _open_webui),
    ("LibreChat", lambda wire: "conversationId" in wire and ("messages" in wire or "messagesTree" in wire), _librechat),
)
