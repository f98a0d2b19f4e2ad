"""The rounds of an answer that computes or searches: what the model has said and called, and what became of each call.

They are kept in the request of the answer, each step as it is done, so that another runner goes on behind the last.
What a file or a page gave is not in them: it is evidence, and goes with its file or its search. Pure.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from chatapp.answers.progress import Progress
from chatapp.context.deep import MAX_QUERIES as MAX_WEB_QUERIES
from chatapp.context.deep import READ_PAGE, SEARCH_WEB
from chatapp.context.messages import ChatMessage, ToolCall
from chatapp.context.tables import NO_MORE, QUERY_TABLE

MAX_QUERIES = 5  # over tables, of one answer
MAX_QUERY_CHARACTERS = 400
WEB_TOOLS = (SEARCH_WEB, READ_PAGE)


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


class DeepOffered(TypedDict):
    """How much a model may search by itself: searches, pages, seconds of both, and tokens of what they find."""

    searches: int
    pages: int
    seconds: int
    result_tokens: int  # of one call
    room_tokens: int  # of all


class CallMade(TypedDict):
    id: str
    name: str
    arguments: str


class CallResult(TypedDict):
    """The number of its evidence; the search, with the numbers of what is new of it; or words why there is neither."""

    evidence: NotRequired[int]
    search: NotRequired[str]
    numbers: NotRequired[list[int]]
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


@dataclass(frozen=True, slots=True)
class WebWanted:
    """A search by queries, or the address of a page."""

    queries: tuple[str, ...] = ()
    url: str = ""


def round_of(calls: Sequence[ToolCall], progress: Progress) -> Round:
    """What was said since the last round, and is now waited for."""
    return Round(
        text=progress.round_said("text").rstrip(),
        reasoning=progress.round_said("reasoning").rstrip(),
        ends=[progress.length_text, progress.length_reasoning, len(progress.token_ids)],
        calls=[CallMade(id=call.id, name=call.name, arguments=call.arguments) for call in calls],
        results=[],
    )


def most_calls(deep: DeepOffered | None) -> int:
    """Of one answer. A page is read in a call as a search is; more of them than searches would be reading for ever."""
    return MAX_QUERIES + (2 * deep["searches"] if deep else 0)


def may_call(rounds: Sequence[Round], most: int) -> bool:
    return num_calls(rounds) < most


def is_spent(rounds: Sequence[Round], most: int) -> bool:
    """Whether the model has called once more than it was allowed to, and was told so."""
    return bool(rounds) and not may_call(rounds[:-1], most)


def num_calls(rounds: Sequence[Round]) -> int:
    return sum(len(each["calls"]) for each in rounds)


def calls_of(rounds: Sequence[Round], names: Collection[str]) -> int:
    """Those that have a result."""
    answered = [call["name"] for each in rounds for call, _ in zip(each["calls"], each["results"], strict=False)]
    return sum(name in names for name in answered)


def call_key(rounds: Sequence[Round]) -> str:
    """What names the next call, whoever answers it."""
    return f"{len(rounds)}.{len(rounds[-1]['results']) + 1}"


def next_call(rounds: Sequence[Round]) -> CallMade | None:
    """The first call that has no result. Only the last round can have one."""
    if not rounds or len(rounds[-1]["results"]) >= len(rounds[-1]["calls"]):
        return None
    return rounds[-1]["calls"][len(rounds[-1]["results"])]


def wanted(call: CallMade, rounds: Sequence[Round], files: Sequence[FileOffered]) -> Wanted | str:
    """What the next call asks for; words for the model where it can be nothing."""
    if calls_of(rounds, [QUERY_TABLE]) >= MAX_QUERIES:
        return NO_MORE
    return understood(call, files)


def wanted_of_web(call: CallMade) -> WebWanted | str:
    """The same of a call that searches or reads."""
    arguments = _arguments(call)
    if isinstance(arguments, str):
        return arguments
    if call["name"] == READ_PAGE:
        url = arguments.get("url")
        return WebWanted(url=url.strip()) if isinstance(url, str) and url.strip() else "The argument url is missing."
    given = arguments.get("queries", arguments.get("query"))
    texts = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    queries = [" ".join(text.split())[:MAX_QUERY_CHARACTERS] for text in texts if isinstance(text, str)]
    kept = tuple(dict.fromkeys(filter(None, queries)))[:MAX_WEB_QUERIES]
    return WebWanted(queries=kept) if kept else "The argument queries is missing: a list of one to three texts."


def understood(call: CallMade, files: Sequence[FileOffered]) -> Wanted | str:
    if call["name"] != QUERY_TABLE:
        return f"There is no function {call['name'][:100]!r}, only those that are offered."
    arguments = _arguments(call)
    if isinstance(arguments, str):
        return arguments
    if not isinstance(arguments.get("sql"), str):
        return "The argument sql is missing: one SELECT statement."
    if not files:
        return "There is no file to ask."
    named = [file for file in files if file["name"] == arguments.get("file")]
    if not named and len(files) > 1:
        return f"The argument file must be one of: {', '.join(file['name'] for file in files)}."
    return Wanted((named or list(files))[0], arguments["sql"])


def _arguments(call: CallMade) -> dict[str, Any] | str:
    try:
        arguments = json.loads(call["arguments"])
    except (ValueError, RecursionError):
        return "The arguments are not JSON."
    return arguments if isinstance(arguments, dict) else "The arguments are not a JSON object."


def told_rounds(
    rounds: Sequence[Round], results: Mapping[int, str], searches: Mapping[str, str] | None = None
) -> list[ChatMessage]:
    """The finished rounds as messages behind the question.

    `results` are the words of what was computed, by number; `searches` those of what was found, by search.
    """
    messages = []
    for each in rounds:
        calls = tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in each["calls"])
        messages.append(ChatMessage("assistant", each["text"], calls, reasoning=each["reasoning"]))
        for call, result in zip(each["calls"], each["results"], strict=True):
            number = result.get("evidence")
            words = result.get("refusal", "") if number is None else results.get(number, "")
            if "search" in result:
                words = (searches or {}).get(result["search"], "")
            messages.append(ChatMessage("tool", words, tool_call_id=call["id"]))
    return messages
