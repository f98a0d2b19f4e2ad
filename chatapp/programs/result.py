"""What a call has given, as its row keeps it until it was told. Pure."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from chatapp.context.messages import ToolCall


@dataclass(frozen=True, slots=True)
class Tokens:
    """As the rows of usage have them: `cached` of the prompt, found in the model's cache."""

    prompt: int
    cached: int
    completion: int


@dataclass(frozen=True, slots=True)
class Result:
    """`annotations` and `logprobs` are written as the program reads them."""

    text: str
    reasoning: str
    calls: tuple[ToolCall, ...]
    finish_reason: str
    tokens: Tokens
    annotations: tuple[dict[str, Any], ...] = field(default=())
    logprobs: tuple[dict[str, Any], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, wire: dict[str, Any]) -> Self:
        calls = tuple(ToolCall(**call) for call in wire["calls"])
        lists = {name: tuple(wire[name]) for name in ("annotations", "logprobs")}
        return cls(**{**wire, **lists, "calls": calls, "tokens": Tokens(**wire["tokens"])})
