"""Thinking, text and calls of tools, wherever the text is cut."""

from __future__ import annotations

import pytest

from inference.markup import CALL_BEGIN, CALL_END, CALL_SEPARATOR, CALLS_BEGIN, CALLS_END
from inference.server.parsing import AnswerParser, Said
from inference.server.reasoning import ReasoningSplitter


def call(name: str, arguments: str) -> str:
    return CALL_BEGIN + name + CALL_SEPARATOR + arguments + CALL_END


ANSWER = (
    "let me < think </ th</think>I shall <｜look"
    + CALLS_BEGIN
    + call("find", '{"q": "<｜tool"}')
    + "\n"
    + call("get_time", "{}")
    + CALLS_END
)


def gathered(said: Said) -> list[tuple[str | None, str]]:
    """Calls as a client gathers them: by index, arguments joined."""
    calls: list[tuple[str | None, str]] = []
    for piece in said.calls:
        if piece.name is not None:
            assert piece.index == len(calls) and piece.id and piece.arguments == ""
            calls.append((piece.name, ""))
        else:
            calls[piece.index] = (calls[piece.index][0], calls[piece.index][1] + piece.arguments)
    return calls


@pytest.mark.parametrize("size", [*range(1, 24), len(ANSWER)])
def test_an_answer_is_parted_wherever_it_is_cut(size: int) -> None:
    parser = AnswerParser(thinking=True, tools=True)
    said = Said()
    for start in range(0, len(ANSWER), size):
        said += parser.push(ANSWER[start : start + size])
    said += parser.finish()
    assert said.reasoning == "let me < think </ th" and said.content == "I shall <｜look"
    assert gathered(said) == [("find", '{"q": "<｜tool"}'), ("get_time", "{}")]
    assert parser.has_called


def test_arguments_are_told_as_they_come() -> None:
    parser = AnswerParser(thinking=False, tools=True)
    said = parser.push(CALLS_BEGIN + CALL_BEGIN + "find" + CALL_SEPARATOR + '{"q":')
    assert gathered(said) == [("find", '{"q":')]
    assert [piece.arguments for piece in parser.push(' "cat').calls] == [' "cat']


def test_a_cut_answer_is_parsed_on_from_its_prefix() -> None:
    for cut in range(len(ANSWER)):
        before = AnswerParser(thinking=True, tools=True)
        first = before.push(ANSWER[:cut])
        after = AnswerParser(thinking=True, tools=True, prefix=ANSWER[:cut])
        rest = after.push(ANSWER[cut:]) + after.finish()
        assert (first + rest).reasoning == "let me < think </ th" and (first + rest).content == "I shall <｜look"
        assert gathered(first + rest) == [("find", '{"q": "<｜tool"}'), ("get_time", "{}")]


def test_without_tools_markup_is_text() -> None:
    parser = AnswerParser(thinking=False, tools=False)
    text = CALLS_BEGIN + call("find", "{}")
    assert parser.push(text) == Said(content=text) and not parser.has_called


def test_a_call_that_is_cut_in_its_name_was_never_made() -> None:
    parser = AnswerParser(thinking=False, tools=True)
    assert parser.push("so: " + CALLS_BEGIN + CALL_BEGIN + "fi") == Said(content="so: ")
    assert parser.finish() == Said() and not parser.has_called


def test_what_only_looked_like_markup_is_told_at_the_end() -> None:
    parser = AnswerParser(thinking=False, tools=True)
    assert parser.push("so <｜tool▁ca") == Said(content="so ")
    assert parser.finish() == Said(content="<｜tool▁ca")
    thinking = AnswerParser(thinking=True, tools=True)
    assert thinking.push("hm</th") == Said("hm") and thinking.finish() == Said("</th")


def test_thinking_goes_on_from_a_prefix() -> None:
    continued = ReasoningSplitter(thinking=True, prefix="hm</th")
    assert continued.push("ink>yes") == ("", "yes")
