"""A conversation as one text, by the checkpoint's own Jinja template or DeepSeek-V3.2-Exp's where it has none.

A template comes with a checkpoint, so it runs in Jinja's immutable sandbox: no attribute of Python's own, no change
of what it is handed. Knows no token ids.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from typing import NoReturn

from jinja2 import TemplateError, meta
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

# DeepSeek-V3.2-Exp without tools. System messages come first, joined by a blank line; earlier answers lose their
# thinking; the assistant's turn opens with </think> (answer at once) or <think>.
DEEPSEEK_TEMPLATE = """\
{{- bos_token or '<｜begin▁of▁sentence｜>' -}}
{%- set system = messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | list -%}
{{- system | join('\\n\\n') -}}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}
    {{- '<｜User｜>' + message.content -}}
  {%- elif message.role == 'assistant' -%}
    {{- '<｜Assistant｜></think>' + message.content.split('</think>')[-1] -}}
    {{- eos_token or '<｜end▁of▁sentence｜>' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<｜Assistant｜>' + ('<think>' if thinking else '</think>') -}}
{%- endif -%}
"""


class ChatTemplate:
    def __init__(self, source: str | None, bos_token: str = "", eos_token: str = "") -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
        source = source if source is not None else DEEPSEEK_TEMPLATE
        self._template = environment.from_string(source)
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self.can_think = "thinking" in meta.find_undeclared_variables(environment.parse(source))

    def render(self, messages: list[dict[str, str]], control_texts: list[str], thinking: bool) -> tuple[str, str]:
        """The text and the seam, a string at which it is to be cut before tokenizing.

        The seam stands between the characters of each control text that a message contains, so no part holds one.
        Raises ValueError with the template's words where it refuses the conversation.
        """
        seam = f"\ufdd0{secrets.token_hex(8)}\ufdd0"
        safe = [message | {"content": _break(message["content"], control_texts, seam)} for message in messages]
        try:
            text = self._template.render(messages=safe, add_generation_prompt=True, thinking=thinking, **self._tokens)
        except TemplateError as error:
            raise ValueError(f"the model's chat template refuses these messages: {error}") from error
        return text, seam


def _break(content: str, control_texts: list[str], seam: str) -> str:
    found = [text for text in control_texts if len(text) > 1 and text in content]
    if not found:
        return content
    pattern = re.compile("|".join(re.escape(text) for text in found))
    return pattern.sub(lambda match: seam.join(match[0]), content)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
