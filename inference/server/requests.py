"""What the API takes, as types: parsing and validation of request bodies. Knows no tokenizer and no engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from inference.sequence import SamplingParams
from inference.server.constraint import JsonFormat
from inference.server.errors import BadRequest, UnknownModel
from inference.server.fields import Fields
from inference.server.tools import ToolCall, Tools, take_tool_calls, take_tools

MAX_STOPS = 16  # as DeepSeek's API
MAX_STOP_LENGTH = 1024  # text held back may be this long, so it is bounded
MAX_CHOICES = 8
MAX_USER_LENGTH = 256
MAX_TOP_LOGPROBS = 20
MAX_PROMPTS = 64
SEED_RANGE = (-(2**63), 2**63 - 1)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What requests are judged by: the name, the limits and the checkpoint's own generation defaults."""

    name: str
    max_model_len: int
    vocab_size: int
    eos_token_ids: frozenset[int]
    can_think: bool
    can_call_tools: bool
    can_fill: bool  # knows the tokens for filling in the middle
    defaults: SamplingParams  # max_tokens -1: as long as the context allows


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()  # an assistant's
    tool_call_id: str | None = None  # a tool's: the call that this is the output of

    def as_given(self) -> dict[str, Any]:
        """As templates want to see it."""
        given: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            given["tool_calls"] = [call.as_given() for call in self.tool_calls]
        if self.tool_call_id is not None:
            given["tool_call_id"] = self.tool_call_id
        return given


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of the answer that is to be continued: as text, or exactly as token ids (text is then a check)."""

    content: str
    reasoning: str
    token_ids: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Output:
    """How the answer is to be told, beside what it says."""

    num_choices: int
    stream: bool
    include_usage: bool
    return_token_ids: bool
    user: str = ""  # whose share of the engine it takes


@dataclass(frozen=True, slots=True)
class ChatRequest:
    messages: tuple[ChatMessage, ...]
    prefix: Prefix | None
    thinking: bool
    tools: Tools
    json_format: JsonFormat | None
    params: SamplingParams
    seed: int | None
    output: Output

    @property
    def num_characters(self) -> int:
        written = 0 if self.prefix is None else len(self.prefix.content) + len(self.prefix.reasoning)
        return sum(len(message.content) for message in self.messages) + written


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    prompts: tuple[str | tuple[int, ...], ...]
    suffix: str | None  # what comes after the text that is to be written
    echo: bool
    params: SamplingParams
    seed: int | None
    output: Output


@dataclass(frozen=True, slots=True)
class CountRequest:
    """What /tokenize takes: a conversation or a text."""

    messages: tuple[ChatMessage, ...] | None
    prompt: str | None


def parse_chat(body: object, model: ServedModel) -> ChatRequest:
    fields = Fields(body)
    _take_model(fields, model)
    messages, prefix = _take_messages(fields, model)
    params = _take_sampling(fields, model, min_tokens=1)
    num_logprobs = fields.integer("top_logprobs", 0, MAX_TOP_LOGPROBS)
    if fields.boolean("logprobs"):
        params = replace(params, num_logprobs=num_logprobs or 0)
    elif num_logprobs is not None:
        raise BadRequest("top_logprobs needs logprobs: true", param="top_logprobs")
    thinking = _take_thinking(fields, model)
    if prefix is not None and prefix.reasoning and not thinking:
        raise BadRequest("reasoning_content needs thinking.type enabled", "unsupported_option", "messages")
    request = ChatRequest(
        messages=messages,
        prefix=prefix,
        thinking=thinking,
        tools=_take_tools(fields, model),
        json_format=_take_json_format(fields),
        params=params,
        seed=fields.integer("seed", *SEED_RANGE),
        output=_take_output(fields),
    )
    fields.finish()
    return request


def parse_completion(body: object, model: ServedModel) -> CompletionRequest:
    fields = Fields(body)
    _take_model(fields, model)
    prompts = _take_prompts(fields, model)
    params = _take_sampling(fields, model, min_tokens=0)
    num_logprobs = fields.integer("logprobs", 0, MAX_TOP_LOGPROBS)
    echo = fields.boolean("echo")
    params = replace(params, num_logprobs=num_logprobs, prompt_logprobs=echo and num_logprobs is not None)
    request = CompletionRequest(
        prompts=prompts,
        suffix=_take_suffix(fields, model, echo),
        echo=echo,
        params=params,
        seed=fields.integer("seed", *SEED_RANGE),
        output=_take_output(fields),
    )
    fields.finish()
    return request


def parse_count(body: object, model: ServedModel) -> CountRequest:
    fields = Fields(body)
    _take_model(fields, model)
    if fields.has("messages") == fields.has("prompt"):
        raise BadRequest("give either messages or prompt", param="messages")
    messages = None
    prompt = fields.text("prompt")
    if prompt is None:
        messages, prefix = _take_messages(fields, model)
        if prefix is not None:
            raise BadRequest("a prefix is not counted here", code="unsupported_option", param="messages")
    fields.finish()
    return CountRequest(messages, prompt)


def _take_model(fields: Fields, model: ServedModel) -> None:
    name = fields.text("model")
    if name is not None:
        check_model(name, model.name)


def check_model(name: str, served: str) -> None:
    if name != served:
        raise UnknownModel(f"the model {name!r} is not served here; this is {served!r}", "model_not_found", "model")


def _take_sampling(fields: Fields, model: ServedModel, min_tokens: int) -> SamplingParams:
    default = model.defaults
    given: dict[str, Any] = {
        "max_tokens": _take_max_tokens(fields, min_tokens),
        "temperature": fields.number("temperature", 0, 2),
        "top_p": fields.number("top_p", 0, 1, above=True),
        "top_k": fields.integer("top_k", 0, model.vocab_size),
        "repetition_penalty": fields.number("repetition_penalty", 0, 2, above=True),
        "presence_penalty": fields.number("presence_penalty", -2, 2),
        "frequency_penalty": fields.number("frequency_penalty", -2, 2),
    }
    given = {name: value for name, value in given.items() if value is not None}
    return replace(default, **given, stop=_take_stop(fields), stop_token_ids=model.eos_token_ids)


def _take_max_tokens(fields: Fields, low: int) -> int | None:
    old = fields.integer("max_tokens", low, 2**31)
    new = fields.integer("max_completion_tokens", low, 2**31)
    if old is not None and new is not None and old != new:
        raise BadRequest(f"max_tokens={old} contradicts max_completion_tokens={new}", param="max_tokens")
    return old if old is not None else new


def _take_stop(fields: Fields) -> tuple[str, ...]:
    value = fields.take("stop")
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops) or len(stops) > MAX_STOPS:
        raise fields.invalid("stop", value, f"a string or a list of up to {MAX_STOPS} strings")
    if not all(0 < len(stop) <= MAX_STOP_LENGTH for stop in stops):
        raise BadRequest(f"stop strings must have 1 to {MAX_STOP_LENGTH} characters", param="stop")
    return tuple(stops)


def _take_output(fields: Fields) -> Output:
    stream = fields.boolean("stream")
    include_usage = False
    if fields.has("stream_options"):
        if not stream:
            raise BadRequest("stream_options needs stream: true", param="stream_options")
        options = Fields(fields.take("stream_options"), "stream_options")
        include_usage = options.boolean("include_usage")
        options.finish()
    user = fields.text("user") or ""
    if len(user) > MAX_USER_LENGTH:
        raise BadRequest(f"user must have at most {MAX_USER_LENGTH} characters", param="user")
    num_choices = fields.integer("n", 1, MAX_CHOICES) or 1
    return Output(num_choices, stream, include_usage, fields.boolean("return_token_ids"), user)


def _take_tools(fields: Fields, model: ServedModel) -> Tools:
    if fields.has("tools") and not model.can_call_tools:
        raise BadRequest(
            f"{model.name} cannot call tools: its chat template has no place for them; leave tools out or choose"
            " a model that was trained for them",
            "unsupported_option",
            "tools",
        )
    return take_tools(fields)


def _take_json_format(fields: Fields) -> JsonFormat | None:
    if not fields.has("response_format"):
        return None
    options = Fields(fields.take("response_format"), "response_format")
    kind = options.text("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise BadRequest("response_format.type must be text, json_object or json_schema", param="response_format.type")
    json_format = JsonFormat({"type": "object"}, strict=True) if kind == "json_object" else None
    if kind == "json_schema":
        json_format = _json_schema(Fields(options.take("json_schema"), "response_format.json_schema"))
    options.finish()
    return json_format


def _json_schema(entry: Fields) -> JsonFormat:
    entry.text("name"), entry.text("description")  # what the model is told of it is the prompt's affair
    schema = entry.take("schema")
    if not isinstance(schema, dict):
        raise entry.invalid("schema", schema, "a JSON schema")
    json_format = JsonFormat(schema, entry.boolean("strict"))
    entry.finish()
    return json_format


def _take_suffix(fields: Fields, model: ServedModel, echo: bool) -> str | None:
    suffix = fields.text("suffix")
    if suffix is None:
        return None
    if not model.can_fill:
        raise BadRequest(
            f"{model.name} cannot fill in the middle: its vocabulary lacks the tokens; leave suffix out",
            "unsupported_option",
            "suffix",
        )
    if echo:
        raise BadRequest("echo cannot be told together with suffix: leave one of them out", param="echo")
    return suffix


def _take_thinking(fields: Fields, model: ServedModel) -> bool:
    if not fields.has("thinking"):
        return False
    options = Fields(fields.take("thinking"), "thinking")
    kind = options.text("type")
    if kind not in ("enabled", "disabled"):
        raise BadRequest("thinking.type must be enabled or disabled", param="thinking.type")
    options.finish()
    if kind == "enabled" and not model.can_think:
        raise BadRequest(f"{model.name} does not think: thinking cannot be enabled", "unsupported_option", "thinking")
    return kind == "enabled"


def _take_messages(fields: Fields, model: ServedModel) -> tuple[tuple[ChatMessage, ...], Prefix | None]:
    """The conversation, and apart from it the beginning of the answer that is to be continued."""
    values = fields.take("messages")
    if not isinstance(values, list) or not values:
        raise fields.invalid("messages", values, "a list of at least one message")
    messages = [_take_message(Fields(value, f"messages[{i}]"), model) for i, value in enumerate(values[:-1])]
    last = Fields(values[-1], f"messages[{len(values) - 1}]")
    if last.has("prefix") or last.has("token_ids"):
        prefix = _take_prefix(last, model)
        if prefix is not None:
            return tuple(messages), prefix
    return (*messages, _take_message(last, model)), None


def _take_message(entry: Fields, model: ServedModel) -> ChatMessage:
    role = entry.text("role")
    roles = ("system", "user", "assistant", *(("tool",) if model.can_call_tools else ()))
    if role is None or role not in roles:
        raise BadRequest(f"{entry.path('role')} must be one of {', '.join(roles)}", param=entry.path("role"))
    content = _take_content(entry)
    tool_calls = take_tool_calls(entry) if role == "assistant" and model.can_call_tools else ()
    if content is None and not tool_calls:
        raise BadRequest(f"{entry.path('content')} is missing", param=entry.path("content"))
    tool_call_id = entry.text("tool_call_id") if role == "tool" else None
    entry.finish()
    return ChatMessage(role, content or "", tool_calls, tool_call_id)


def _take_prefix(entry: Fields, model: ServedModel) -> Prefix | None:
    """None for `prefix: false`, which says nothing. Only an assistant's message can be continued."""
    token_ids = _take_token_ids(entry, "token_ids", model)
    if not entry.boolean("prefix", default=token_ids is not None):
        if token_ids is not None:
            raise BadRequest(f"{entry.path('token_ids')} needs prefix: true", param=entry.path("prefix"))
        return None
    role = entry.text("role")
    if role != "assistant":
        raise BadRequest(f"{entry.path('prefix')} needs role assistant", param=entry.path("prefix"))
    prefix = Prefix(_take_content(entry) or "", entry.text("reasoning_content") or "", token_ids)
    entry.finish()
    return prefix


def _take_content(entry: Fields) -> str | None:
    value = entry.take("content")
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise entry.invalid("content", value, "a string or a list of text parts")
    texts = []
    for index, item in enumerate(value):
        part = Fields(item, f"{entry.path('content')}[{index}]")
        if part.text("type") != "text":
            raise BadRequest(f"{part.path('type')} supports only text", "unsupported_option", param=part.path("type"))
        text = part.text("text")
        if text is None:
            raise BadRequest(f"{part.path('text')} is missing", param=part.path("text"))
        part.finish()
        texts.append(text)
    return "".join(texts)


def _take_token_ids(fields: Fields, name: str, model: ServedModel) -> tuple[int, ...] | None:
    value = fields.take(name)
    return None if value is None else _token_ids(value, fields, name, model)


def _token_ids(value: object, fields: Fields, name: str, model: ServedModel) -> tuple[int, ...]:
    good = isinstance(value, list) and all(type(item) is int and 0 <= item < model.vocab_size for item in value)
    if not good:
        raise fields.invalid(name, value, f"a list of token ids from 0 to {model.vocab_size - 1}")
    assert isinstance(value, list)
    return tuple(value)


def _take_prompts(fields: Fields, model: ServedModel) -> tuple[str | tuple[int, ...], ...]:
    value = fields.take("prompt")
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not value:
        raise fields.invalid("prompt", value, "a string, a list of token ids, or a list of either")
    if type(value[0]) is int:
        return (_token_ids(value, fields, "prompt", model),)
    if len(value) > MAX_PROMPTS:
        raise BadRequest(f"prompt holds {len(value)} prompts; the most is {MAX_PROMPTS}", param="prompt")
    return tuple(item if isinstance(item, str) else _token_ids(item, fields, "prompt", model) for item in value)
