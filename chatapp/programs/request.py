"""What a program asks for, as it is kept in its call: parsed from OpenAI's JSON, and written to ours and back. Pure."""

import base64
import binascii
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Self
from uuid import UUID

from chatapp.context.messages import ChatMessage, Image, Role, ToolCall
from chatapp.programs.errors import ApiError, not_understood, out_of_range, unsupported
from chatapp.programs.fields import Fields

MOST_MESSAGES = 10_000
MOST_PARTS = 100
MOST_TOOLS = 128
MOST_STOPS = 16
MOST_LOGPROBS = 20
MOST_TOKENS = 2**31 - 1

_NUMBERS = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "repetition_penalty": (0.01, 2.0),
}
# What says nothing of the answer: labels, and what Open WebUI and LibreChat send along for themselves.
PASSED_OVER = frozenset(
    """
    user metadata safety_identifier prompt_cache_key prompt_cache_retention service_tier
    chat_id session_id id parent_id message_id background_tasks features filter_ids model_item params options
    tool_ids tool_servers variables files
    conversationId parentMessageId messageId endpoint endpointType promptPrefix spec greeting iconURL modelLabel
    """.split()
)
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_PICTURE = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,(.*)", re.DOTALL)
_FILE_ID = re.compile(r"file-([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Said:
    """A message, and the files that it refers to."""

    message: ChatMessage
    file_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that is to be continued."""

    text: str
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Asking:
    """Messages, or a `prompt` to be continued. `options` go to the endpoint as they are."""

    messages: tuple[Said, ...] = ()
    prompt: str | None = None
    begun: Begun | None = None
    max_tokens: int | None = None
    thinking: bool | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def file_ids(self) -> list[UUID]:
        return list(dict.fromkeys(id for said in self.messages for id in said.file_ids))

    @property
    def num_pictures(self) -> int:
        return sum(len(said.message.images) for said in self.messages)

    def to_json(self) -> dict[str, Any]:
        wire = asdict(self)
        wire["messages"] = [
            {"message": asdict(said.message), "file_ids": [str(id) for id in said.file_ids]} for said in self.messages
        ]
        return wire

    @classmethod
    def from_json(cls, wire: dict[str, Any]) -> Self:
        begun = wire["begun"]
        return cls(
            messages=tuple(_said_of(each) for each in wire["messages"]),
            prompt=wire["prompt"],
            begun=Begun(**begun) if begun else None,
            max_tokens=wire["max_tokens"],
            thinking=wire["thinking"],
            options=wire["options"],
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the program wants it."""

    model: str
    is_stream: bool
    with_usage: bool
    is_stored: bool


def read_chat(body: dict[str, Any]) -> tuple[Asking, Delivery]:
    """Of `POST /v1/chat/completions`. Raises ApiError."""
    fields = Fields(body)
    messages = [_read_message(each, index) for index, each in enumerate(_needed_messages(fields))]
    begun = _take_begun(messages)
    max_tokens = fields.integer("max_tokens", 1, MOST_TOKENS) or fields.integer("max_completion_tokens", 1, MOST_TOKENS)
    options = _read_options(fields)
    _read_tools(fields, options)
    options |= _kept(response_format=_read_format(fields), reasoning_effort=fields.text("reasoning_effort", 20))
    thinking = fields.object("thinking")
    wants_thinking = thinking.choice("type", ("enabled", "disabled")) if thinking else None
    if fields.flag("logprobs"):
        options |= _kept(logprobs=True, top_logprobs=fields.integer("top_logprobs", 0, MOST_LOGPROBS))
    fields.only("top_logprobs", 0, options.get("top_logprobs"))
    fields.only("modalities", ["text"])
    delivery = _read_delivery(fields)
    fields.refuse_unknown()
    asking = Asking(
        messages=tuple(said for said, _ in messages),
        begun=begun,
        max_tokens=max_tokens,
        thinking=wants_thinking == "enabled" if wants_thinking else None,
        options=options,
    )
    return asking, delivery


def read_text(body: dict[str, Any]) -> tuple[Asking, Delivery]:
    """Of `POST /v1/completions`: one prompt, and perhaps a suffix between which and it the model is to fill in."""
    fields = Fields(body)
    prompt = fields.needed("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        [prompt] = prompt
    if not isinstance(prompt, str):
        raise unsupported("prompt", "prompt must be one string; send a request for each of several.")
    max_tokens = fields.integer("max_tokens", 1, MOST_TOKENS)
    options = _read_options(fields) | _kept(suffix=fields.text("suffix"))
    for name, value in (("echo", False), ("best_of", 1), ("logprobs", 0)):
        fields.only(name, value)
    delivery = _read_delivery(fields)
    fields.refuse_unknown()
    return Asking(prompt=prompt, max_tokens=max_tokens, options=options), delivery


def file_id(id: UUID) -> str:
    return f"file-{id.hex}"


def read_file_id(text: str) -> UUID | None:
    found = _FILE_ID.fullmatch(text)
    return UUID(found[1]) if found else None


def _read_delivery(fields: Fields) -> Delivery:
    is_stream = fields.flag("stream") or False
    stream_options = fields.object("stream_options")
    fields.only("n", 1)
    fields.pass_over(PASSED_OVER)
    return Delivery(
        model=fields.needed_text("model"),
        is_stream=is_stream,
        with_usage=bool(stream_options and stream_options.flag("include_usage")),
        is_stored=fields.flag("store") or False,
    )


def _read_options(fields: Fields) -> dict[str, Any]:
    options: dict[str, Any] = {name: fields.number(name, *ends) for name, ends in _NUMBERS.items()}
    options["seed"] = fields.integer("seed", -(2**63), 2**63 - 1)
    options["top_k"] = fields.integer("top_k", -1, 100_000)
    options["stop"] = _read_stop(fields)
    bias = fields.object("logit_bias")
    options["logit_bias"] = fields.any("logit_bias") if bias else None
    return _kept(**options)


def _read_stop(fields: Fields) -> str | list[str] | None:
    stop = fields.any("stop")
    stops = [stop] if isinstance(stop, str) else stop
    if stops is None:
        return None
    if not isinstance(stops, list) or not all(isinstance(each, str) and each for each in stops):
        raise not_understood("stop", "stop must be a string or a list of strings, none of them empty.")
    if len(stops) > MOST_STOPS:
        raise out_of_range("stop", f"stop has {len(stops)} strings; at most {MOST_STOPS} may be.")
    return stops or None


def _read_tools(fields: Fields, options: dict[str, Any]) -> None:
    tools = fields.items("tools", MOST_TOOLS)
    for index, tool in enumerate(tools or ()):
        function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise unsupported(f"tools[{index}]", f"tools[{index}] must be of type function, with a function's name.")
    choice = fields.any("tool_choice")
    if choice is not None and not isinstance(choice, dict) and choice not in ("none", "auto", "required"):
        raise out_of_range("tool_choice", "tool_choice must be none, auto, required or a named function.")
    parallel = fields.flag("parallel_tool_calls")
    if tools:  # without any, the choice among them says nothing
        options |= _kept(tools=tools, tool_choice=choice, parallel_tool_calls=parallel)


def _read_format(fields: Fields) -> Any:
    wanted = fields.object("response_format")
    if wanted is None:
        return None
    kind = wanted.choice("type", ("text", "json_object", "json_schema"))
    if kind == "json_schema" and not isinstance(wanted.any("json_schema"), dict):
        raise not_understood("response_format.json_schema", "response_format.json_schema must be an object.")
    return None if kind == "text" else fields.any("response_format")


def _needed_messages(fields: Fields) -> list[Any]:
    fields.needed("messages")
    messages = fields.items("messages", MOST_MESSAGES)
    if not messages:
        raise not_understood("messages", "messages is empty; send at least one.")
    return messages


def _read_message(given: Any, index: int) -> tuple[Said, bool]:
    """And whether it is to be continued."""
    place = f"messages[{index}]"
    if not isinstance(given, dict):
        raise not_understood(place, f"{place} must be an object.")
    fields = Fields(given, f"{place}.")
    fields.needed("role")
    role = _ROLES[fields.choice("role", tuple(_ROLES)) or ""]
    text, images, file_ids = _read_content(fields)
    calls = tuple(_read_call(each, f"{place}.tool_calls[{n}]") for n, each in enumerate(fields.any("tool_calls") or ()))
    call_id = fields.needed_text("tool_call_id") if role == "tool" else ""
    reasoning = fields.text("reasoning_content") or ""
    is_prefix = fields.flag("prefix") or False
    # What an answer of ours or of others came with, sent back as it was: it asks for nothing.
    fields.pass_over(("name", "refusal", "annotations", "audio", "function_call", "reasoning", "tool_call_id"))
    fields.refuse_unknown()
    if (images or file_ids) and role != "user":
        raise unsupported(f"{place}.content", f"{place}.content: files and pictures are the user's alone.")
    message = ChatMessage(role, text, calls, call_id, images, reasoning)
    return Said(message, file_ids), is_prefix


def _read_content(fields: Fields) -> tuple[str, tuple[Image, ...], tuple[UUID, ...]]:
    content = fields.any("content")
    if content is None or isinstance(content, str):
        return content or "", (), ()
    texts, images, file_ids = [], [], []
    for index, part in enumerate(fields.items("content", MOST_PARTS) or ()):
        place = f"{fields.name('content')}[{index}]"
        if not isinstance(part, dict):
            raise not_understood(place, f"{place} must be an object.")
        read = Fields(part, f"{place}.")
        match read.any("type"):
            case "text":
                texts.append(read.needed_text("text"))
            case "image_url":
                images.append(_read_picture(read))
            case "file":
                file_ids.append(_read_file(read))
            case other:
                words = f"{place}.type={str(other)[:60]!r} is not supported: text, image_url and file are."
                raise unsupported(f"{place}.type", words)
    return "\n".join(texts), tuple(images), tuple(file_ids)


def _read_picture(part: Fields) -> Image:
    inner = part.object("image_url")
    url = inner.needed_text("url") if inner else part.needed_text("image_url")
    found = _PICTURE.fullmatch(url)
    name = part.name("image_url.url")
    if found is None:
        words = f"{name} must be a data: URL of a PNG, JPEG, GIF or WebP in base64; nothing is fetched from elsewhere."
        raise out_of_range(name, words)
    try:
        base64.b64decode(found[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise out_of_range(name, f"{name} is not base64.") from error
    return Image(found[1], found[2])


def _read_file(part: Fields) -> UUID:
    inner = part.object("file")
    if inner is None:
        raise not_understood(part.name("file"), f"{part.name('file')} is missing.")
    inner.only("file_data")
    text = inner.needed_text("file_id")
    id = read_file_id(text)
    if id is None:
        raise ApiError(404, "file_not_found", f"There is no file {text[:60]!r}.", param=inner.name("file_id"))
    return id


def _read_call(given: Any, place: str) -> ToolCall:
    fields = Fields(given if isinstance(given, dict) else {}, f"{place}.")
    function = fields.object("function")
    if function is None:
        raise not_understood(f"{place}.function", f"{place}.function is missing.")
    return ToolCall(fields.text("id") or "", function.needed_text("name"), function.text("arguments") or "{}")


def _take_begun(messages: list[tuple[Said, bool]]) -> Begun | None:
    """The last message is taken out where it is one that the model is to go on with."""
    for index, (said, is_prefix) in enumerate(messages):
        if is_prefix and (index != len(messages) - 1 or said.message.role != "assistant"):
            place = f"messages[{index}].prefix"
            raise unsupported(place, f"{place}: only the last message can be continued, if it is the assistant's.")
    if not messages[-1][1]:
        return None
    last = messages.pop()[0].message
    if not messages:
        raise not_understood("messages", "messages has nothing before the answer that is to be continued.")
    return Begun(last.content, last.reasoning)


def _kept(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _said_of(wire: dict[str, Any]) -> Said:
    message = wire["message"]
    calls = tuple(ToolCall(**call) for call in message.pop("tool_calls"))
    images = tuple(Image(**image) for image in message.pop("images"))
    return Said(ChatMessage(**message, tool_calls=calls, images=images), tuple(map(UUID, wire["file_ids"])))
