"""What an answer must look like, as a Lark grammar: JSON, calls of tools, thinking before either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inference.grammar import json_rule, text_literal
from inference.markup import CALL_BEGIN, CALL_END, CALL_SEPARATOR, CALLS_BEGIN, CALLS_END, END_OF_THINKING
from inference.server.tools import Tool, Tools

ANY_TEXT = "/(?s:.*)/"


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """`strict`: a keyword that cannot be enforced is refused; without it, left out."""

    schema: dict[str, Any]
    strict: bool


def grammar_of(json_format: JsonFormat | None, tools: Tools, thinking: bool) -> str | None:
    """None where any text will do."""
    if json_format is None and not tools.offered:
        return None
    rules = _answer_rules(json_format, tools)
    if thinking:
        rules = ["start: think answer", f"think[suffix={text_literal(END_OF_THINKING)}]: {ANY_TEXT}", *rules]
    else:
        rules = ["start: answer", *rules]
    return "\n".join(rules)


def _answer_rules(json_format: JsonFormat | None, tools: Tools) -> list[str]:
    said = [] if json_format is None else [f"said: {json_rule(json_format.schema, lenient=not json_format.strict)}"]
    if not tools.offered:
        return ["answer: said", *said]
    begin = text_literal(CALLS_BEGIN)
    if tools.mode == "auto" and not said:  # text, and calls after it or none
        said = ["said: FREE", f"FREE: {ANY_TEXT} & ~/(?s:.*){CALLS_BEGIN}(?s:.*)/"]
        said.append(f"lead[lazy]: /(?s:.*){CALLS_BEGIN}/")
        begin = "lead"
    calls = f"{begin} {'call+' if tools.parallel else 'call'} {text_literal(CALLS_END)}"
    if tools.mode == "auto":
        return [f"answer: said | {calls}", *said, *_call_rules(tools.offered)]
    return [f"answer: {calls}", *_call_rules(tools.offered)]


def _call_rules(tools: tuple[Tool, ...]) -> list[str]:
    functions = " | ".join(f"function{i}" for i in range(len(tools)))
    rules = [f"call: {text_literal(CALL_BEGIN)} ({functions}) {text_literal(CALL_END)}"]
    for i, tool in enumerate(tools):
        rules.append(f"function{i}: {text_literal(tool.name + CALL_SEPARATOR)} arguments{i}")
        rules.append(f"arguments{i}: {json_rule(tool.parameters, lenient=not tool.strict)}")
    return rules
