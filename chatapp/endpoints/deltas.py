"""The typed pieces of a streamed answer, and the splitter that finds thinking inside the content. Knows no HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from chatapp.context.messages import ToolCall

PartName = Literal["text", "reasoning"]


@dataclass(frozen=True, slots=True)
class Delta:
    """New characters of one part. `token_ids` are exactly the tokens of these characters (our own worker only)."""

    part: PartName
    text: str
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None


@dataclass(frozen=True, slots=True)
class Completed:
    """The last item of a stream that truly ended; `finish_reason` is empty where the endpoint gave none.

    With `calls` the model waits for what those functions give; an answer that was cut has none. `logprobs` are those
    of a chat's tokens, in OpenAI's form, where somebody has asked for them.
    """

    finish_reason: str
    usage: Usage | None
    model: str
    reasoning_in: Literal["", "field", "tags"] = ""
    calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[dict[str, Any], ...] = ()


class ThinkSplitter:
    """Moves a `<think>...</think>` that opens the content into the reasoning, however the chunks cut its tags.

    A delta whose end may be half a tag is held back whole, so that text and token ids never part.
    """

    _OPEN, _CLOSE = "<think>", "</think>"

    def __init__(self, state: Literal["start", "thinking", "text"] = "start") -> None:
        self._state: Literal["start", "thinking", "text"] = state
        self._trim = False  # right after a tag: line breaks there are the template's, not the model's
        self._held = ""
        self._held_ids: tuple[int, ...] = ()
        self.has_thought = False

    def feed(self, text: str, token_ids: tuple[int, ...]) -> Iterator[Delta]:
        self._held += text
        self._held_ids += token_ids
        if self._state == "start":
            self._open()
        if self._state == "thinking":
            yield from self._think()
        if self._state == "text":
            yield from self._flush("text")

    def leave_thinking(self) -> None:
        """The endpoint sends its reasoning in a field of its own: what comes as content is the text."""
        if self._state == "thinking":
            self._state = "text"

    def finish(self) -> Iterator[Delta]:
        """What was still held when the stream ended."""
        yield from self._flush("reasoning" if self._state == "thinking" else "text")

    def _open(self) -> None:
        bare = self._held.lstrip()
        if bare.startswith(self._OPEN):
            self._held = bare.removeprefix(self._OPEN)
            self._state, self._trim = "thinking", True
            self.has_thought = True
        elif not self._OPEN.startswith(bare):
            self._state = "text"

    def _think(self) -> Iterator[Delta]:
        thought, tag, rest = self._held.partition(self._CLOSE)
        if tag:
            self._held = thought.rstrip("\n")
            ids, self._held_ids = self._held_ids, ()
            yield from self._flush("reasoning")
            self._state, self._trim = "text", True
            self._held, self._held_ids = rest, ids
        elif not any(thought.endswith(self._CLOSE[:size]) for size in range(1, len(self._CLOSE))):
            yield from self._flush("reasoning")

    def _flush(self, part: PartName) -> Iterator[Delta]:
        if self._trim:
            self._held = self._held.lstrip("\n")
            self._trim = not self._held
        if self._held:
            yield Delta(part, self._held, self._held_ids)
            self._held, self._held_ids = "", ()


def storable(text: str) -> str:
    """Without lone surrogates and NULs, which PostgreSQL does not take."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "\ufffd")


class WellFormed:
    """Storable text out of chunks: surrogate pairs that were cut in two are joined."""

    def __init__(self) -> None:
        self._high = ""

    def __call__(self, text: str) -> str:
        text = self._high + text
        self._high = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        if self._high:
            text = text[:-1]
        return storable(text)
