"""One question written for one endpoint: only the fields it takes, continuation and thinking in its own spelling.

Knows the dialects of OpenAI-compatible servers; knows no HTTP and no database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chatapp.context.messages import ChatMessage

Continuation = Literal["none", "prefix_true", "continue_final_message"]
ToolChoice = Literal["auto", "none", "required"]

# Fields an endpoint may refuse by name; the question is then asked once more without them.
DROPPABLE = (
    "stream_options",
    "seed",
    "temperature",
    "return_token_ids",
    "user",
    "token_ids",
    "reasoning_content",
    "chat_template_kwargs",
    "thinking",
    "tools",
    "tool_choice",
    "max_tokens",  # newer OpenAI models want max_completion_tokens instead
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a client must know of an endpoint. The key never appears in a repr."""

    base_url: str
    model: str
    api_key: "Key"
    continuation: Continuation = "none"
    takes_seed: bool = True
    takes_token_ids: bool = False
    switches_thinking: bool = False


class Key:
    """A key that does not print itself."""

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Key(...)"

    def remove_from(self, text: str) -> str:
        return text.replace(self.value, "[key]") if self.value else text


@dataclass(frozen=True, slots=True)
class Prefix:
    """What the reader has already seen of this answer. `token_ids` are all of its tokens, or none."""

    text: str
    reasoning: str = ""
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})


@dataclass(frozen=True, slots=True)
class Question:
    messages: tuple[ChatMessage, ...]
    max_tokens: int
    seed: int | None = None
    temperature: float | None = None  # None: the endpoint's own default
    thinking: bool = False
    prefix: Prefix | None = None
    user: str = ""  # whose share of our own worker it takes; told to nobody else
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    prompt: str | None = None  # to be continued as it is, in place of messages
    options: Mapping[str, Any] = field(default_factory=dict)  # somebody's own wishes: sent as they are, never left out


def request_body(target: Target, question: Question, refused: frozenset[str]) -> dict[str, Any]:
    """The JSON of `POST /chat/completions`, without the fields this endpoint has refused."""
    body: dict[str, Any] = {"model": target.model, "stream": True, "stream_options": {"include_usage": True}}
    if question.prompt is None:
        body["messages"] = [_message(message) for message in question.messages]
    else:
        body["prompt"] = question.prompt
    body["max_completion_tokens" if "max_tokens" in refused else "max_tokens"] = question.max_tokens
    if question.seed is not None and target.takes_seed:
        body["seed"] = question.seed
    if question.temperature is not None:
        body["temperature"] = question.temperature
    if target.takes_token_ids:
        body["return_token_ids"] = True
        if question.user:
            body["user"] = question.user
    if target.switches_thinking and question.prompt is None:
        # DeepSeek's spelling, and that of vLLM and SGLang (the template's argument has two names).
        body["thinking"] = {"type": "enabled" if question.thinking else "disabled"}
        body["chat_template_kwargs"] = {"thinking": question.thinking, "enable_thinking": question.thinking}
    if question.tools and "tools" not in refused:
        body["tools"] = [_tool(tool) for tool in question.tools]
        if question.tool_choice != "auto":  # what every endpoint takes it for when it is not said
            body["tool_choice"] = question.tool_choice
    if question.prefix is not None:
        _continue(body, target, question.prefix)
    return {**_without(body, refused), **question.options}


def _message(message: ChatMessage) -> dict[str, Any]:
    if message.tool_call_id:
        return {"role": message.role, "tool_call_id": message.tool_call_id, "content": message.content}
    if message.images:
        return {"role": message.role, "content": _parts(message)}
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.tool_calls
    ]
    thought = {"reasoning_content": message.reasoning} if message.reasoning else {}
    return {"role": message.role, "content": message.content or None, "tool_calls": calls, **thought}


def _parts(message: ChatMessage) -> list[dict[str, Any]]:
    """Text first: some servers read the pictures in the light of it."""
    urls = [f"data:{image.media_type};base64,{image.base64}" for image in message.images]
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"type": "text", "text": message.content}, *pictures]


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _continue(body: dict[str, Any], target: Target, prefix: Prefix) -> None:
    assert target.continuation != "none", "an endpoint without continuation must not be asked for it"
    last: dict[str, Any] = {"role": "assistant", "content": prefix.text}
    if target.continuation == "prefix_true":
        last["prefix"] = True
        if target.takes_token_ids and prefix.token_ids:
            last["token_ids"] = list(prefix.token_ids)
        if prefix.reasoning and "token_ids" in last:
            del last["content"]  # the tokens spell thinking and text together
        elif prefix.reasoning:
            last["reasoning_content"] = prefix.reasoning
    else:
        last["content"] = _thinking_inline(prefix)
        body["continue_final_message"] = True
        body["add_generation_prompt"] = False
    body["messages"].append(last)


def _thinking_inline(prefix: Prefix) -> str:
    if not prefix.reasoning:
        return prefix.text
    close = f"\n</think>\n\n{prefix.text}" if prefix.text else ""
    return f"<think>\n{prefix.reasoning}{close}"


def _without(body: dict[str, Any], refused: frozenset[str]) -> dict[str, Any]:
    kept = {name: value for name, value in body.items() if name not in refused}
    if "messages" in body:
        kept["messages"] = [{k: v for k, v in message.items() if k not in refused} for message in body["messages"]]
    return kept


def sent_fields(body: dict[str, Any], question: Question) -> set[str]:
    """Every field of this body that may be dropped, in the body itself or in its messages."""
    messages = body.get("messages", ())
    sent = {name for name in DROPPABLE if name in body or any(name in message for message in messages)}
    return sent - question.options.keys()
