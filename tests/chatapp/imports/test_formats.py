"""What each export becomes: branches stay branches, and what nobody said is left out."""

from typing import Any

import pytest

from chatapp.imports.chats import MAX_MESSAGES, MAX_TEXT, BadChat, Chat
from chatapp.imports.formats import read_chat
from tests.chatapp.imports import exports


def told(chat: Chat) -> list[tuple[int | None, str, str]]:
    return [(said.parent, said.role, said.text) for said in chat.said]


def test_chatgpt_keeps_branches_and_joins_the_parts_of_an_answer() -> None:
    name, chat = read_chat(exports.chatgpt())
    assert (name, chat.title) == ("ChatGPT", "Gezeiten")
    assert told(chat) == [
        (None, "user", "Wann ist Flut? 什么时候涨潮？"),
        (0, "assistant", "I look it up.\n\nAt **noon**."),
        (0, "assistant", "At one."),
    ]
    assert chat.active == 1 and chat.said[1].model == "gpt-4o"
    assert chat.said[0].at is not None and chat.said[0].at.year == 2024


def test_open_webui_keeps_branches_and_the_shown_one() -> None:
    name, chat = read_chat(exports.open_webui())
    assert (name, chat.title) == ("Open WebUI", "Low tide")
    assert sorted(said.text for said in chat.said) == ["At seven.", "At six.", "Quite.", "Sure?", "When is low tide?"]
    assert chat.active is not None and chat.said[chat.active].text == "Quite."
    assert {said.model for said in chat.said if said.role == "assistant"} == {"qwen3", "llama"}


@pytest.mark.parametrize("recursive", [True, False])
def test_librechat_is_read_flat_and_as_a_tree(recursive: bool) -> None:
    name, chat = read_chat(exports.librechat(recursive=recursive))
    assert (name, chat.title) == ("LibreChat", "Depth")
    assert told(chat) == [
        (None, "user", "How deep is it?"),
        (0, "assistant", "Twelve fathoms."),
        (0, "assistant", "Thirteen fathoms."),
    ]


def test_same_words_have_the_same_digest_whatever_else_has_changed() -> None:
    wire = exports.chatgpt()
    again = {**exports.chatgpt(), "update_time": 1.0, "id": "another"}
    assert read_chat(wire)[1].digest == read_chat(again)[1].digest
    again["title"] = "Tides"
    assert read_chat(wire)[1].digest != read_chat(again)[1].digest


def messages(*nodes: tuple[str, str | None, str, str]) -> dict[str, Any]:
    said = [{"id": id, "parent": parent, "role": role, "text": text} for id, parent, role, text in nodes]
    return {"format": "sonde-chat", "title": "T", "messages": said}


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        ({}, "unknown_format"),
        ({"mapping": []}, "unknown_format"),
        ({"mapping": {}}, "empty"),
        ({"mapping": {"a": {"message": 7, "parent": {}, "children": "?"}}}, "empty"),
        ({"conversationId": None, "messages": {"a": 1}}, "empty"),
        ({"chat": {"history": {"messages": [1]}}}, "empty"),
        (messages(("a", "b", "user", "x"), ("b", "a", "assistant", "y")), "broken"),
        (messages(("a", None, "user", "x" * (MAX_TEXT + 1))), "too_long"),
        (messages(*((str(n), None, "user", "x") for n in range(MAX_MESSAGES + 1))), "too_many_messages"),
    ],
    ids=str,
)
def test_what_is_no_chat_is_refused_with_a_code(wire: dict[str, Any], code: str) -> None:
    with pytest.raises(BadChat) as refused:
        read_chat(wire)
    assert refused.value.code == code


def test_questions_and_answers_take_turns_whatever_the_export_says() -> None:
    _, chat = read_chat(
        messages(
            ("hello", None, "assistant", "Hello!"),
            ("q", "hello", "user", "First."),
            ("r", "q", "user", "Second."),
            ("x", "q", "user", "Other."),
            ("a", "r", "assistant", "Yes."),
        )
    )
    for said in chat.said:
        above = chat.said[said.parent].role if said.parent is not None else "assistant"
        assert above != said.role, "no two of a kind in a row"
    assert {said.text for said in chat.said} == {
        "…",
        "Hello!",
        "First.",
        "First.\n\nSecond.",
        "First.\n\nOther.",
        "Yes.",
    }


def test_a_circle_beside_a_chat_takes_nothing_from_it() -> None:
    _, chat = read_chat(
        messages(
            ("q", None, "user", "x"), ("a", "b", "user", "y"), ("b", "a", "assistant", "z"), ("s", "s", "user", "w")
        )
    )
    assert {said.text for said in chat.said} == {"x", "w"}


def test_a_thousand_turns_in_a_row_need_no_recursion() -> None:
    roles = ("user", "assistant")
    chain = [(str(n), str(n - 1) if n else None, roles[n % 2], "x") for n in range(5_000)]
    assert len(read_chat(messages(*chain))[1].said) == 5_000


def test_text_that_cannot_be_stored_is_made_storable() -> None:
    _, chat = read_chat(messages(("q", None, "user", "a\0b\ud83dc")))
    assert chat.said[0].text == "ab?c"
