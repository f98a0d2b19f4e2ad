"""A conversation as one text, by the checkpoint's own Jinja template or DeepSeek-V3.2-Exp's where it has none.

A template comes with a checkpoint, so it runs in Jinja's immutable sandbox: no attribute of Python's own, no change
of what it is handed. Knows no token ids.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, meta
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from inference.markup import CALLS_BEGIN, END_OF_THINKING

# The template's argument that switches thinking on, by the names that are in use.
_THINKING = ("thinking", "enable_thinking")

# DeepSeek-V3.2-Exp. System messages come first, joined by a blank line, the tools after them; the assistant's turn
# opens with </think> (answer at once) or <think>, and after a tool's output it simply goes on.
DEEPSEEK_TEMPLATE = """\
{{- bos_token or '<｜begin▁of▁sentence｜>' -}}
{%- set eos = eos_token or '<｜end▁of▁sentence｜>' -%}
{%- set turn = namespace(after_tool=false) -%}
{{- messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join('\\n\\n') -}}
{%- if tools -%}
  {{- '\\n\\n## Tools\\nYou have access to the following tools:\\n' -}}
  {%- for tool in tools -%}
    {{- '\\n### ' + tool.function.name + '\\nDescription: ' + tool.function.description -}}
    {{- '\\n\\nParameters: ' + tool.function.parameters | tojson + '\\n' -}}
  {%- endfor -%}
  {{- '\\nIMPORTANT: ALWAYS adhere to this exact format for tool use:\\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' -}}
  {{- 'tool_call_name<｜tool▁sep｜>tool_call_arguments<｜tool▁call▁end｜>{{additional_tool_calls}}' -}}
  {{- '<｜tool▁calls▁end｜>\\n\\nWhere:\\n\\n' -}}
  {{- '- `tool_call_name` must be an exact match to one of the available tools\\n' -}}
  {{- "- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters Schema\\n" -}}
  {{- '- For multiple tool calls, chain them directly without separators or spaces\\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}
    {{- '<｜User｜>' + message.content -}}
  {%- elif message.role == 'tool' -%}
    {{- '<｜tool▁output▁begin｜>' + message.content + '<｜tool▁output▁end｜>' -}}
  {%- elif message.role == 'assistant' -%}
    {{- ('' if turn.after_tool else '<｜Assistant｜></think>') + message.content -}}
    {%- for call in message.tool_calls or [] -%}
      {{- '<｜tool▁calls▁begin｜>' if loop.first else '' -}}
      {{- '<｜tool▁call▁begin｜>' + call.function.name + '<｜tool▁sep｜>' + call.function.arguments -}}
      {{- '<｜tool▁call▁end｜>' + ('<｜tool▁calls▁end｜>' if loop.last else '') -}}
    {%- endfor -%}
    {{- eos -}}
  {%- endif -%}
  {%- if message.role != 'system' -%}
    {%- set turn.after_tool = message.role == 'tool' -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt and not turn.after_tool -%}
  {{- '<｜Assistant｜>' + ('<think>' if thinking else '</think>') -}}
{%- endif -%}
"""


class ChatTemplate:
    def __init__(self, source: str | None, bos_token: str = "", eos_token: str = "") -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
        source = source if source is not None else DEEPSEEK_TEMPLATE
        environment.filters["tojson"] = _to_json
        self._template = environment.from_string(source)
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        arguments = meta.find_undeclared_variables(environment.parse(source))
        self.can_think = not arguments.isdisjoint(_THINKING)
        # Calls in another markup than the family's own would be told as text.
        self.can_call_tools = "tools" in arguments and CALLS_BEGIN in source

    def render(
        self, messages: list[dict[str, Any]], control_texts: list[str], thinking: bool, tools: list[Any] | None = None
    ) -> tuple[str, str]:
        """The text and the seam, a string at which it is to be cut before tokenizing.

        The seam stands between the characters of each control text that a message or a tool contains, so no part
        holds one. Earlier answers lose their thinking, where the model thinks. Raises ValueError with the template's
        words where it refuses the conversation.
        """
        seam = f"\ufdd0{secrets.token_hex(8)}\ufdd0"
        if self.can_think:
            messages = [_without_thinking(message) for message in messages]
        given = {"messages": _break(messages, control_texts, seam), "tools": _break(tools, control_texts, seam)}
        switches = dict.fromkeys(_THINKING, thinking)
        try:
            text = self._template.render(given, add_generation_prompt=True, **switches, **self._tokens)
        except TemplateError as error:
            raise ValueError(f"the model's chat template refuses these messages: {error}") from error
        return text, seam


def _without_thinking(message: dict[str, Any]) -> dict[str, Any]:
    if message["role"] != "assistant":
        return message
    return message | {"content": message["content"].split(END_OF_THINKING, 1)[-1]}


def _break(value: Any, control_texts: list[str], seam: str) -> Any:
    """The same value with the seam inside every control text that its strings contain."""
    if isinstance(value, dict):
        return {_break(k, control_texts, seam): _break(v, control_texts, seam) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_break(item, control_texts, seam) for item in value]
    if not isinstance(value, str):
        return value
    found = [text for text in control_texts if len(text) > 1 and text in value]
    if not found:
        return value
    pattern = re.compile("|".join(re.escape(text) for text in found))
    return pattern.sub(lambda match: seam.join(match[0]), value)


def _to_json(value: object, indent: int | None = None) -> str:
    """Jinja's own escapes for HTML and for ASCII, which no model has seen."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
