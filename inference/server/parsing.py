"""An answer's text as it comes in, parted into thinking, what is said, and calls of tools."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inference.markup import CALL_BEGIN, CALL_END, CALL_SEPARATOR, CALLS_BEGIN, CALLS_END
from inference.server.reasoning import ReasoningSplitter, beginning_at_end


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A call that begins (with its id and name), or more of its arguments."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None

    def as_delta(self) -> dict[str, Any]:
        if self.name is None:
            return {"index": self.index, "function": {"arguments": self.arguments}}
        function = {"name": self.name, "arguments": self.arguments}
        return {"index": self.index, "id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Said:
    reasoning: str = ""
    content: str = ""
    calls: tuple[CallPiece, ...] = ()

    def __add__(self, more: Said) -> Said:
        return Said(self.reasoning + more.reasoning, self.content + more.content, self.calls + more.calls)


class AnswerParser:
    """Pushed piece by piece; what may be the beginning of markup waits for the next piece."""

    def __init__(self, thinking: bool, tools: bool, prefix: str = "") -> None:
        """`prefix` is the part of the answer that was told before; its calls keep their numbers."""
        self._reasoning = ReasoningSplitter(thinking)
        self._calls = CallSplitter() if tools else None
        self.push(prefix)

    @property
    def is_thinking(self) -> bool:
        return self._reasoning.is_thinking

    @property
    def has_called(self) -> bool:
        return self._calls is not None and self._calls.num_calls > 0

    def push(self, text: str) -> Said:
        reasoning, content = self._reasoning.push(text)
        if self._calls is None:
            return Said(reasoning, content)
        return Said(reasoning) + self._calls.push(content)

    def finish(self) -> Said:
        """What only looked like the beginning of markup."""
        said = Said(self._reasoning.finish())
        return said if self._calls is None else said + self._calls.finish()


class CallSplitter:
    """text, then CALLS_BEGIN (CALL_BEGIN name CALL_SEPARATOR arguments CALL_END)* CALLS_END."""

    def __init__(self) -> None:
        self._held = ""
        self._read: Callable[[], Said] = self._read_text
        self.num_calls = 0

    def push(self, text: str) -> Said:
        self._held += text
        said = Said()
        while True:
            read, length = self._read, len(self._held)
            said += read()
            if self._read == read and len(self._held) == length:
                return said

    def finish(self) -> Said:
        """A call whose name was not finished was never made."""
        held, self._held = self._held, ""
        if self._read == self._read_text:
            return Said(content=held)
        if self._read == self._read_arguments:
            return self._more(held)
        return Said()

    def _read_text(self) -> Said:
        text, found = self._until(CALLS_BEGIN)
        if found:
            self._read = self._read_between
        return Said(content=text)

    def _read_between(self) -> Said:
        """Blanks and line ends between calls mean nothing."""
        begin, end = self._held.find(CALL_BEGIN), self._held.find(CALLS_END)
        if begin >= 0 and (end < 0 or begin < end):
            self._held = self._held[begin + len(CALL_BEGIN) :]
            self._read = self._read_name
        elif end >= 0:
            self._held = self._held[end + len(CALLS_END) :]
            self._read = self._read_text
        return Said()

    def _read_name(self) -> Said:
        name, separator, rest = self._held.partition(CALL_SEPARATOR)
        if not separator:
            return Said()
        self._held, self._read = rest, self._read_arguments
        self.num_calls += 1
        return Said(calls=(CallPiece(self.num_calls - 1, id=f"call_{secrets.token_hex(12)}", name=name.strip()),))

    def _read_arguments(self) -> Said:
        arguments, found = self._until(CALL_END)
        if found:
            self._read = self._read_between
        return self._more(arguments)

    def _more(self, arguments: str) -> Said:
        return Said(calls=(CallPiece(self.num_calls - 1, arguments),) if arguments else ())

    def _until(self, mark: str) -> tuple[str, bool]:
        """Text before the mark, or as much of it as cannot be the mark's beginning."""
        before, found, after = self._held.partition(mark)
        if found:
            self._held = after
            return before, True
        length = len(before) - beginning_at_end(before, mark)
        self._held = before[length:]
        return before[:length], False
