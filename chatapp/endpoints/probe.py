"""The "try it" button: asks an endpoint a few short questions and reports what it can do.

Knows the HTTP client, no database. The facts it could establish are what services.store_probe keeps.
"""

import json
import re
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from chatapp.context.messages import ChatMessage, ToolCall
from chatapp.endpoints.client import EndpointClient
from chatapp.endpoints.deltas import Completed
from chatapp.endpoints.dialects import Continuation, Prefix, Question, Target, Tool
from chatapp.endpoints.faults import EndpointError

Check = Literal["models", "answer", "stream", "first_token", "usage", "seed", "reasoning", "continuation", "tools"]
Outcome = Literal["yes", "no", "unknown"]

ENOUGH_TOKENS = 300  # most thinking models have come to their answer by then
_COUNTING = "Count from one to twelve in English words, in lower case, separated by commas. Write nothing else."
_STOCK = "How many blue chairs are in stock? Look it up, then answer with the number alone."
_LOOK_UP = Tool(
    "look_up_stock",
    "How many pieces of an article are in stock.",
    {"type": "object", "properties": {"article": {"type": "string"}}, "required": ["article"]},
)
_IN_STOCK = "4187"  # nobody guesses it
_WORD = re.compile(r"[A-Za-z]{5,}")
_KEPT = 3  # letters of the cut word


@dataclass(frozen=True, slots=True)
class ProbeLine:
    """One line for people: the page has the words for `check` and `outcome`; `detail` is data or the endpoint's own."""

    check: Check
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    ok: bool
    lines: tuple[ProbeLine, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "lines": [asdict(line) for line in self.lines]}

    def established(self) -> dict[str, Any]:
        """Columns of Endpoint that are now known."""
        return self.facts


@dataclass(slots=True)
class _Trial:
    """What one question brought."""

    text: str = ""
    reasoning: str = ""
    deltas: int = 0
    first_token_ms: int | None = None
    completed: Completed | None = None


async def probe(client: EndpointClient, target: Target) -> ProbeReport:
    """Never raises EndpointError: what went wrong is a line of the report."""
    lines = [await _listed(client, target)]
    question = Question((ChatMessage("user", _COUNTING),), ENOUGH_TOKENS, seed=1, temperature=0.0)
    try:
        trial = await _ask(client, replace(target, takes_seed=True), question)
    except EndpointError as error:
        return ProbeReport(False, (*lines, ProbeLine("answer", "no", error.detail)))
    takes_seed = "seed" not in client.refused_fields(target)
    lines += _about(trial, takes_seed)
    continuation, line = await _continuation(client, target, question, trial.text)
    tools = await _tools(client, target)
    facts: dict[str, Any] = {"takes_seed": takes_seed, "tools": tools.outcome == "yes"}
    if line.outcome != "unknown":
        facts["continuation"] = continuation
    if trial.reasoning and not target.switches_thinking:
        facts["thinking"] = "always"
    return ProbeReport(bool(trial.text or trial.reasoning), (*lines, line, tools), facts)


async def _listed(client: EndpointClient, target: Target) -> ProbeLine:
    try:
        names = await client.models(target)
    except EndpointError as error:
        return ProbeLine("models", "unknown", error.detail)
    return ProbeLine("models", "yes" if target.model in names else "no", ", ".join(names[:10])[:300])


async def _ask(client: EndpointClient, target: Target, question: Question) -> _Trial:
    trial, started = _Trial(), time.monotonic()
    async with aclosing(client.stream(target, question)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Completed):
                trial.completed = piece
                continue
            trial.deltas += 1
            if trial.first_token_ms is None:
                trial.first_token_ms = round(1000 * (time.monotonic() - started))
            if piece.part == "text":
                trial.text += piece.text
            else:
                trial.reasoning += piece.text
    return trial


def _about(trial: _Trial, takes_seed: bool) -> list[ProbeLine]:
    assert trial.completed is not None
    usage = trial.completed.usage
    return [
        ProbeLine("answer", "yes" if trial.text else "no", " ".join(trial.text.split())[:80]),
        ProbeLine("stream", "yes" if trial.deltas > 1 else "no"),
        ProbeLine("first_token", "yes", f"{trial.first_token_ms} ms"),
        ProbeLine("usage", "yes", f"{usage.prompt_tokens} + {usage.completion_tokens}")
        if usage
        else ProbeLine("usage", "no"),
        ProbeLine("seed", "yes" if takes_seed else "no"),
        ProbeLine("reasoning", "yes" if trial.reasoning else "no", trial.completed.reasoning_in),
    ]


async def _continuation(
    client: EndpointClient, target: Target, question: Question, text: str
) -> tuple[Continuation, ProbeLine]:
    """The first way in which the model's own answer, cut inside a word, goes on with the rest of that word.

    A model that merely answers again writes the whole word, or starts over.
    """
    words = list(_WORD.finditer(text))
    if not words:
        return "none", ProbeLine("continuation", "unknown")
    word = words[len(words) // 2]
    rest = word.group()[_KEPT:]
    cut = replace(question, prefix=Prefix(text[: word.start() + _KEPT]), max_tokens=24)
    said = ""
    ways: tuple[Continuation, ...] = ("prefix_true", "continue_final_message")
    for way in ways:
        try:
            trial = await _ask(client, replace(target, continuation=way), cut)
        except EndpointError as error:
            said = error.detail
            continue
        if trial.text.startswith(rest):
            return way, ProbeLine("continuation", "yes", way)
        said = "the reply starts again"
    return "none", ProbeLine("continuation", "no", said)


async def _tools(client: EndpointClient, target: Target) -> ProbeLine:
    """Whether it calls a function with the arguments it was told of, and answers with what that gave."""
    asked = ChatMessage("user", _STOCK)
    question = Question((asked,), ENOUGH_TOKENS, temperature=0.0, tools=(_LOOK_UP,))
    try:
        trial = await _ask(client, target, question)
        call = _call_of(trial)
        if call is None:
            return ProbeLine("tools", "no", " ".join(trial.text.split())[:80])
        called = ChatMessage("assistant", trial.text, (call,))
        given = ChatMessage("tool", _IN_STOCK, tool_call_id=call.id)
        answer = await _ask(client, target, replace(question, messages=(asked, called, given)))
    except EndpointError as error:
        return ProbeLine("tools", "no", error.detail)
    return ProbeLine("tools", "yes" if _IN_STOCK in answer.text else "no", " ".join(answer.text.split())[:80])


def _call_of(trial: _Trial) -> ToolCall | None:
    """The first call that is what was asked for."""
    for call in trial.completed.calls if trial.completed else ():
        try:
            arguments = json.loads(call.arguments)
        except ValueError:
            continue
        if call.name == _LOOK_UP.name and isinstance(arguments, dict) and "article" in arguments:
            return call
    return None
