"""The rounds of an answer that computes: what the model has said and called, and what became of each call.

They are kept in the request of the answer, each step as it is done, so that another runner goes on behind the last.
What a file gave is not in them: it is evidence, and is deleted with its file. Pure.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from chatapp.answers.progress import Progress
from chatapp.context.messages import ChatMessage, ToolCall
from chatapp.context.tables import NO_MORE, QUERY_TABLE

MAX_QUERIES = 5  # of one answer


class FileOffered(TypedDict):
    upload: str
    reading: str
    sha256: str
    name: str


class TablesOffered(TypedDict):
    """What a takeover and a replay need to tell the model the same of these files, which hold the words themselves.

    `detail`: level and number of lines of chatapp.context.tables.Detail.
    """

    files: list[FileOffered]
    detail: list[int]
    result_tokens: int  # of one result, as far as the model reads it


class CallMade(TypedDict):
    id: str
    name: str
    arguments: str


class CallResult(TypedDict):
    """One of them: the number of its evidence, or words why there is none."""

    evidence: NotRequired[int]
    refusal: NotRequired[str]


class Round(TypedDict):
    """`ends`: where the text, the thinking and the token ids of the message stood then."""

    text: str
    reasoning: str
    ends: list[int]
    calls: list[CallMade]
    results: list[CallResult]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A query that can be run."""

    file: FileOffered
    sql: str


def round_of(calls: Sequence[ToolCall], progress: Progress) -> Round:
    """What was said since the last round, and is now waited for."""
    return Round(
        text=progress.round_said("text").rstrip(),
        reasoning=progress.round_said("reasoning").rstrip(),
        ends=[progress.length_text, progress.length_reasoning, len(progress.token_ids)],
        calls=[CallMade(id=call.id, name=call.name, arguments=call.arguments) for call in calls],
        results=[],
    )


def may_call(rounds: Sequence[Round]) -> bool:
    return num_calls(rounds) < MAX_QUERIES


def is_spent(rounds: Sequence[Round]) -> bool:
    """Whether the model has called once more than it was allowed to, and was told so."""
    return bool(rounds) and not may_call(rounds[:-1])


def num_calls(rounds: Sequence[Round]) -> int:
    return sum(len(each["calls"]) for each in rounds)


def next_call(rounds: Sequence[Round]) -> CallMade | None:
    """The first call that has no result. Only the last round can have one."""
    if not rounds or len(rounds[-1]["results"]) >= len(rounds[-1]["calls"]):
        return None
    return rounds[-1]["calls"][len(rounds[-1]["results"])]


def wanted(call: CallMade, rounds: Sequence[Round], files: Sequence[FileOffered]) -> Wanted | str:
    """What the next call asks for; words for the model where it can be nothing."""
    if num_calls(rounds[:-1]) + len(rounds[-1]["results"]) >= MAX_QUERIES:
        return NO_MORE
    return understood(call, files)


def understood(call: CallMade, files: Sequence[FileOffered]) -> Wanted | str:
    if call["name"] != QUERY_TABLE:
        return f"There is no function {call['name'][:100]!r}, only {QUERY_TABLE}."
    try:
        arguments = json.loads(call["arguments"])
    except (ValueError, RecursionError):
        return "The arguments are not JSON."
    if not isinstance(arguments, dict) or not isinstance(arguments.get("sql"), str):
        return "The argument sql is missing: one SELECT statement."
    if not files:
        return "There is no file to ask."
    named = [file for file in files if file["name"] == arguments.get("file")]
    if not named and len(files) > 1:
        return f"The argument file must be one of: {', '.join(file['name'] for file in files)}."
    return Wanted((named or list(files))[0], arguments["sql"])


def told_rounds(rounds: Sequence[Round], results: Mapping[int, str]) -> list[ChatMessage]:
    """The finished rounds as messages behind the question; `results` are the words of the evidence, by number."""
    messages = []
    for each in rounds:
        calls = tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in each["calls"])
        messages.append(ChatMessage("assistant", each["text"], calls, reasoning=each["reasoning"]))
        for call, result in zip(each["calls"], each["results"], strict=True):
            number = result.get("evidence")
            words = result.get("refusal", "") if number is None else results.get(number, "")
            messages.append(ChatMessage("tool", words, tool_call_id=call["id"]))
    return messages
