"""Functions the model may call, as requests describe them. Knows no template, no markup and no grammar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from inference.server.errors import BadRequest
from inference.server.fields import Fields

MAX_TOOLS = 128  # as DeepSeek's API
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Tool:
    """`strict`: every keyword of the schema must be kept to; without it those that cannot be are left out."""

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool

    def as_given(self) -> dict[str, Any]:
        """As templates want to see it."""
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": self.parameters},
        }


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made earlier; the arguments are JSON as it wrote them."""

    id: str
    name: str
    arguments: str

    def as_given(self) -> dict[str, Any]:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, slots=True)
class Tools:
    """What may be called in this answer: nothing when `offered` is empty."""

    offered: tuple[Tool, ...] = ()
    mode: Literal["auto", "required"] = "auto"
    parallel: bool = True  # more than one call in an answer


def take_tools(fields: Fields) -> Tools:
    """tools, tool_choice and parallel_tool_calls. `none` offers nothing; a named function is the only one offered."""
    value = fields.take("tools")
    if value is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if fields.has(name) and fields.take(name) != "none":
                raise BadRequest(f"{name} needs tools", param=name)
        return Tools()
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_TOOLS:
        raise fields.invalid("tools", value, f"a list of 1 to {MAX_TOOLS} functions")
    tools = tuple(_tool(item, f"tools[{i}]") for i, item in enumerate(value))
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        raise BadRequest("two of the tools have the same name", param="tools")
    parallel = fields.boolean("parallel_tool_calls", default=True)
    choice = fields.take("tool_choice")
    if choice is None or choice == "auto":
        return Tools(tools, "auto", parallel)
    if choice == "none":
        return Tools()
    if choice == "required":
        return Tools(tools, "required", parallel)
    named = _chosen_name(choice)
    if named not in names:
        raise BadRequest(f"tool_choice names {named!r}, which is none of the tools", param="tool_choice")
    return Tools((tools[names.index(named)],), "required", parallel=False)


def take_tool_calls(entry: Fields) -> tuple[ToolCall, ...]:
    value = entry.take("tool_calls")
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        raise entry.invalid("tool_calls", value, "a list of at least one call")
    return tuple(_call(item, f"{entry.path('tool_calls')}[{i}]") for i, item in enumerate(value))


def _tool(value: object, where: str) -> Tool:
    entry = Fields(value, where)
    function = _function_of(entry)
    parameters = function.take("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise function.invalid("parameters", parameters, "a JSON schema")
    tool = Tool(
        _name(function), function.text("description") or "", parameters or _NO_PARAMETERS, function.boolean("strict")
    )
    function.finish()
    entry.finish()
    return tool


def _call(value: object, where: str) -> ToolCall:
    entry = Fields(value, where)
    entry.take("index")  # clients send back what they gathered from a stream
    id = entry.text("id") or ""
    function = _function_of(entry)
    call = ToolCall(id, _name(function), function.text("arguments") or "{}")
    function.finish()
    entry.finish()
    return call


def _chosen_name(value: object) -> str:
    if not isinstance(value, dict):
        raise BadRequest("tool_choice must be none, auto, required or a function's name", param="tool_choice")
    entry = Fields(value, "tool_choice")
    function = _function_of(entry)
    name = _name(function)
    function.finish()
    entry.finish()
    return name


def _function_of(entry: Fields) -> Fields:
    if (entry.text("type") or "function") != "function":
        raise BadRequest(f"{entry.path('type')} supports only function", "unsupported_option", entry.path("type"))
    return Fields(entry.take("function"), entry.path("function"))


def _name(function: Fields) -> str:
    name = function.text("name")
    if name is None or not _NAME.fullmatch(name):
        raise BadRequest(
            f"{function.path('name')} must have 1 to 64 letters, digits, _ or -", param=function.path("name")
        )
    return name
