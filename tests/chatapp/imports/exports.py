"""Exports as the other houses write them: every field that theirs have, with words of ours."""

from typing import Any

Wire = dict[str, Any]


def chatgpt_message(id: str, role: str, parts: list[Any], at: float, **more: Any) -> Wire:
    return {
        "id": id,
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": at,
        "update_time": None,
        "content": {"content_type": "text", "parts": parts},
        "status": "finished_successfully",
        "end_turn": True,
        "weight": 1.0,
        "metadata": {"model_slug": "gpt-4o"} if role == "assistant" else {},
        "recipient": "all",
        "channel": None,
        **more,
    }


def chatgpt() -> Wire:
    """A root that nobody said, a hidden system text, a tool between two parts of an answer, and a second answer."""
    system = chatgpt_message("s", "system", [""], 1_717_000_000.0)
    system["metadata"] = {"is_visually_hidden_from_conversation": True}
    call = chatgpt_message("t", "assistant", [], 1_717_000_003.0, recipient="python")
    call["content"] = {"content_type": "code", "language": "python", "text": "print(12)"}
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1", "size_bytes": 9}
    asked = chatgpt_message("q", "user", ["Wann ist Flut? 什么时候涨潮？", picture], 1_717_000_001.5)
    asked["content"]["content_type"] = "multimodal_text"
    nodes: list[tuple[str, Wire | None, str | None, list[str]]] = [
        ("root", None, None, ["s"]),
        ("s", system, "root", ["q"]),
        ("q", asked, "s", ["a1", "b1"]),
        ("a1", chatgpt_message("a1", "assistant", ["I look it up."], 1_717_000_002.0), "q", ["t"]),
        ("t", call, "a1", ["r"]),
        ("r", chatgpt_message("r", "tool", ["12"], 1_717_000_004.0), "t", ["a2"]),
        ("a2", chatgpt_message("a2", "assistant", ["At **noon**."], 1_717_000_005.0), "r", []),
        ("b1", chatgpt_message("b1", "assistant", ["At one."], 1_717_000_009.0), "q", []),
    ]
    return {
        "title": "Gezeiten",
        "create_time": 1_717_000_000.0,
        "update_time": 1_717_000_009.0,
        "mapping": {
            id: {"id": id, "message": message, "parent": parent, "children": children}
            for id, message, parent, children in nodes
        },
        "moderation_results": [],
        "current_node": "a2",
        "conversation_id": "6657a000-0000-4000-8000-000000000000",
        "is_archived": False,
        "id": "6657a000-0000-4000-8000-000000000000",
    }


def open_webui() -> Wire:
    messages: list[Wire] = [
        {"id": "q", "parentId": None, "childrenIds": ["a", "b"], "role": "user", "content": "When is low tide?"},
        {
            "id": "a",
            "parentId": "q",
            "childrenIds": ["q2"],
            "role": "assistant",
            "content": "At six.",
            "model": "qwen3",
        },
        {"id": "b", "parentId": "q", "childrenIds": [], "role": "assistant", "content": "At seven.", "model": "llama"},
        {"id": "q2", "parentId": "a", "childrenIds": ["a3"], "role": "user", "content": "Sure?"},
        {"id": "a3", "parentId": "q2", "childrenIds": [], "role": "assistant", "content": "Quite.", "model": "qwen3"},
    ]
    for number, message in enumerate(messages):
        message["timestamp"] = 1_720_000_000 + number
    by_id = {message["id"]: message for message in messages}
    return {
        "id": "0b7c6f0e-1111-4222-8333-944455556666",
        "user_id": "5ad8c9c4-1111-4222-8333-944455556666",
        "title": "Low tide",
        "chat": {
            "id": "",
            "title": "Low tide",
            "models": ["qwen3"],
            "params": {},
            "history": {"messages": by_id, "currentId": "a3"},
            "messages": [by_id[id] for id in ("q", "a", "q2", "a3")],
            "tags": [],
            "timestamp": 1_720_000_000_000,
        },
        "updated_at": 1_720_000_004,
        "created_at": 1_720_000_000,
        "share_id": None,
        "archived": False,
        "pinned": False,
        "meta": {"tags": []},
        "folder_id": None,
    }


def _librechat_message(id: str, parent: str, said: str, *, by_user: bool, minute: int) -> Wire:
    return {
        "messageId": id,
        "parentMessageId": parent,
        "conversationId": "c1",
        "sender": "User" if by_user else "DeepSeek",
        "text": said,
        "isCreatedByUser": by_user,
        "model": None if by_user else "deepseek-chat",
        "error": False,
        "unfinished": False,
        "tokenCount": 9,
        "createdAt": f"2025-02-03T04:{minute:02d}:06.789Z",
        "updatedAt": f"2025-02-03T04:{minute:02d}:06.789Z",
    }


def librechat(*, recursive: bool) -> Wire:
    root = "00000000-0000-0000-0000-000000000000"
    question = _librechat_message("q", root, "How deep is it?", by_user=True, minute=1)
    first = _librechat_message("a", "q", "Twelve fathoms.", by_user=False, minute=2)
    second = _librechat_message("b", "q", "", by_user=False, minute=3)
    second["content"] = [{"type": "think", "think": "Hm."}, {"type": "text", "text": "Thirteen fathoms."}]
    wire: Wire = {
        "conversationId": "c1",
        "endpoint": "deepseek",
        "title": "Depth",
        "exportAt": "10:20:30 GMT+0100",
        "branches": True,
        "recursive": recursive,
        "options": {"model": "deepseek-chat", "temperature": 1},
    }
    if recursive:
        return {**wire, "messages": [{**question, "children": [{**first, "children": []}, {**second, "children": []}]}]}
    return {**wire, "messages": [question, first, second]}
