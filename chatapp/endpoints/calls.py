"""Tool calls out of the pieces in which endpoints stream them. Knows no HTTP.

OpenAI numbers its calls and sends the arguments in fragments. Others send each call whole, number none or all alike,
give the arguments as an object, or repeat the id with every fragment.
"""

import json
from dataclasses import dataclass
from typing import Any

from chatapp.context.messages import ToolCall
from chatapp.endpoints.deltas import storable

MAX_CALLS = 16
MAX_CHARACTERS = 64 * 1024  # of all arguments together


@dataclass(slots=True)
class _Call:
    index: Any
    id: str
    name: str
    arguments: str


class CallGatherer:
    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._num_characters = 0

    def feed(self, pieces: Any) -> None:
        """`tool_calls` of one chunk, or of a whole message."""
        for position, piece in enumerate(pieces if isinstance(pieces, list) else []):
            if isinstance(piece, dict):
                self._feed(piece.get("index", position), piece)

    def gathered(self) -> tuple[ToolCall, ...]:
        """Calls of a function with a name; those without an id get one."""
        return tuple(
            ToolCall(storable(call.id) or f"call_{number}", storable(call.name), storable(call.arguments) or "{}")
            for number, call in enumerate(self._calls)
            if call.name
        )

    def _feed(self, index: Any, piece: dict[str, Any]) -> None:
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        id, name, arguments = _text(piece.get("id")), _text(function.get("name")), function.get("arguments")
        call = next((call for call in reversed(self._calls) if call.index == index), None)
        if call is None or (id and call.id and id != call.id):
            if len(self._calls) == MAX_CALLS:
                return
            call = _Call(index, "", "", "")
            self._calls.append(call)
        call.id = call.id or id
        call.name = call.name or name
        fragment = json.dumps(arguments) if isinstance(arguments, dict) else _text(arguments)
        self._num_characters += len(fragment)
        if self._num_characters <= MAX_CHARACTERS:
            call.arguments += fragment


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
