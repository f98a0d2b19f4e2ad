"""What was asked for an answer, as its row keeps it, so that a takeover and a replay ask exactly the same."""

from typing import Any, TypedDict

from chatapp.answers.events import Wire
from chatapp.answers.rounds import DeepOffered, Round, TablesOffered
from chatapp.answers.web import WebGiven
from chatapp.context.sources import Mode


class PartSent(TypedDict):
    message: str
    sha256: str


class Request(TypedDict, total=False):
    """Answer.request: empty until the first preparation."""

    system: str
    parts: list[PartSent]
    left_out_turns: int
    estimated_tokens: int
    model: str
    max_tokens: int
    temperature: float | None  # of the preset; None: the endpoint's own
    asks_to_continue: bool
    start_reasoning: int  # UTF-16 units that an earlier attempt had thought
    start_tokens: int
    sources: Mode  # how the evidence frozen with this answer is written into the prompt
    source_notices: list[tuple[str, Wire]]
    notes: list[str]
    web: WebGiven | None
    tables: TablesOffered
    deep: DeepOffered
    rounds: list[Round]  # of tools called and their results, the last one perhaps still waited for
    aside_tokens: tuple[int, int]  # prompt and completion of what was asked for notes, and in earlier rounds
    sent: bool  # the endpoint may have begun to work on it
    text_sha256: str  # of this attempt's text, once it has ended


def has_tools(request: Request) -> bool:
    return "tables" in request or "deep" in request


def to_json(request: Request) -> dict[str, Any]:
    return dict(request)
