"""What a model endpoint is told: one message. Knows nothing else, so that every layer may name it."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called; `arguments` is JSON as it wrote it, which may be none."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture beside the text of a question."""

    media_type: str
    base64: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """An assistant may call tools beside its text or instead; a tool's message answers the call of `tool_call_id`.

    `reasoning` is what came before such calls: DeepSeek wants it back with them.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    images: tuple[Image, ...] = ()
    reasoning: str = ""
