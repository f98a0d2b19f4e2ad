"""Answers as OpenAI's clients read them, whole and in chunks, with what DeepSeek adds. Pure but for the clock's time.

Chat and completions differ in their objects; both are written here, so that they cannot drift apart.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chatapp.answers.events import Part
from chatapp.programs.models import Call
from chatapp.programs.result import Result, Tokens

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
BLANK = b"\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """Of one call. `created` in seconds since 1970."""

    call_id: UUID
    kind: str
    model: str
    created: int
    with_usage: bool = False

    def begin(self) -> Iterator[bytes]:
        if self.kind == Call.Kind.CHAT:
            yield self._chunk({"role": "assistant", "content": ""})

    def words(self, part: Part, text: str) -> bytes:
        return self._chunk({"content" if part == "text" else "reasoning_content": text})

    def end(self, result: Result) -> Iterator[bytes]:
        if result.calls:
            yield self._chunk({"tool_calls": [{"index": n, **call} for n, call in enumerate(_calls(result))]})
        if result.annotations:
            yield self._chunk({"annotations": list(result.annotations)})
        if result.logprobs:
            yield self._chunk({}, logprobs=_logprobs(result))
        yield self._chunk({}, result.finish_reason)
        if self.with_usage:
            yield _event({**self._head(is_chunk=True), "choices": [], "usage": usage(result.tokens)})
        yield DONE

    def whole(self, result: Result) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": result.finish_reason, "logprobs": _logprobs(result)}
        if self.kind == Call.Kind.CHAT:
            choice["message"] = _message(result)
        else:
            choice["text"] = result.text
        return {**self._head(is_chunk=False), "choices": [choice], "usage": usage(result.tokens)}

    def _chunk(
        self, delta: dict[str, Any], finish_reason: str | None = None, logprobs: dict[str, Any] | None = None
    ) -> bytes:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish_reason, "logprobs": logprobs}
        if self.kind == Call.Kind.CHAT:
            choice["delta"] = delta
        else:
            choice["text"] = delta.get("content", "")
        body = {**self._head(is_chunk=True), "choices": [choice]}
        return _event({**body, "usage": None} if self.with_usage else body)

    def _head(self, *, is_chunk: bool) -> dict[str, Any]:
        if self.kind == Call.Kind.CHAT:
            kind = "chat.completion.chunk" if is_chunk else "chat.completion"
        else:
            kind = "text_completion"
        return {"id": public_id(self.kind, self.call_id), "object": kind, "created": self.created, "model": self.model}


def reply_to(call: Call, *, with_usage: bool = False) -> Reply:
    return Reply(call.pk, call.kind, call.model_id, int(call.created_at.timestamp()), with_usage)


def public_id(kind: str, call_id: UUID) -> str:
    return f"{'chatcmpl' if kind == Call.Kind.CHAT else 'cmpl'}-{call_id.hex}"


def usage(tokens: Tokens) -> dict[str, Any]:
    """The same numbers as in the rows of usage. DeepSeek tells the parts of the prompt apart, OpenAI the cached one."""
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "prompt_cache_hit_tokens": tokens.cached,
        "prompt_cache_miss_tokens": tokens.prompt - tokens.cached,
    }


def error_event(wire: dict[str, Any]) -> bytes:
    """In a stream that has begun; no [DONE] follows."""
    return _event(wire)


def _message(result: Result) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": result.text or None, "refusal": None}
    if not result.calls:
        message["content"] = result.text
    if result.reasoning:
        message["reasoning_content"] = result.reasoning
    if result.calls:
        message["tool_calls"] = _calls(result)
    if result.annotations:
        message["annotations"] = list(result.annotations)
    return message


def _logprobs(result: Result) -> dict[str, Any] | None:
    return {"content": list(result.logprobs), "refusal": None} if result.logprobs else None


def _calls(result: Result) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in result.calls
    ]


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
