"""POST /v1/chat/completions, at once or as a stream, and the continuation of an answer that was cut."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from inference.engine import Delta
from inference.grammar import Grammar
from inference.markup import END_OF_THINKING, THINK
from inference.sequence import GenerationRequest
from inference.server.answers import UsageCount, chat_logprobs, new_id, read_json
from inference.server.constraint import grammar_of
from inference.server.errors import BadRequest
from inference.server.parsing import AnswerParser, CallPiece, Said
from inference.server.requests import ChatRequest, Prefix, parse_chat
from inference.server.streaming import DONE, EventStream, event, keep_alive, while_connected, with_keep_alive
from inference.server.worker import Worker
from inference.tokenizer import Tokenizer

# The last word with the blank before it, or 16 characters of what has no blanks.
_LAST_WORD = re.compile(r"\s?\S{0,16}\Z")


async def chat_completions(request: Request) -> Response | ASGIApp:
    worker: Worker = request.app.state.worker
    chat = parse_chat(await read_json(request), worker.loaded.model)
    worker.check_length(chat.num_characters, "messages")
    try:
        prompt_token_ids = await asyncio.to_thread(worker.encode_chat, chat.messages, chat.thinking, chat.tools.offered)
        thinking = chat.thinking and _opens_thinking(worker.loaded.tokenizer, prompt_token_ids)
        lark = grammar_of(chat.json_format, chat.tools, thinking)
    except RecursionError:
        raise BadRequest("a schema is nested too deeply", param="tools") from None
    param = "response_format" if chat.json_format is not None else "tools"
    grammar = None if lark is None else await worker.compile_grammar(lark, param)
    answer = await asyncio.to_thread(_Answer, worker, chat, prompt_token_ids, thinking, grammar)
    if chat.output.stream:
        return EventStream(answer.stream())
    return JSONResponse(await while_connected(request, answer.whole()))


def _opens_thinking(tokenizer: Tokenizer, prompt_token_ids: list[int]) -> bool:
    """Not every prompt does: after a tool's output the answer goes on at once."""
    end = b"".join(tokenizer.raw_bytes(token_id) for token_id in prompt_token_ids[-2 * len(THINK) :])
    return end.rstrip().endswith(THINK.encode())


def _continuation(tokenizer: Tokenizer, chat: ChatRequest, thinking: bool) -> tuple[tuple[int, ...], bytes]:
    """Token ids of the prefix, and the end of its text that is to be written again.

    Token ids win; text said beside them must be theirs, or what is told twice would not be one answer. Text alone may
    end inside a word ("sev"), whose tokens the model would never have written: that word is begun anew, under the
    condition that it begins as it did.
    """
    prefix = chat.prefix
    if prefix is None:
        return (), b""
    if prefix.token_ids is not None:
        told = (prefix.reasoning, prefix.content)
        said = AnswerParser(thinking, bool(chat.tools.offered)).push(tokenizer.decode(list(prefix.token_ids)))
        if any(told) and told != (said.reasoning, said.content):
            raise BadRequest("token_ids do not decode to the content beside them", param="token_ids")
        return prefix.token_ids, b""
    text = _written(prefix, thinking)
    token_ids = tuple(tokenizer.encode(text))
    is_full = 0 <= chat.params.max_tokens <= len(token_ids)
    if is_full or chat.params.num_logprobs is not None:  # a token written twice would have two logprobs
        return token_ids, b""
    head = text[: _LAST_WORD.search(text).start()]  # type: ignore[union-attr]  # it always matches
    return tuple(tokenizer.encode(head)), text[len(head) :].encode()


def _written(prefix: Prefix, thinking: bool) -> str:
    """As the model itself would have written it."""
    if thinking and prefix.content:
        return prefix.reasoning + END_OF_THINKING + prefix.content
    return prefix.reasoning or prefix.content


class _Answer:
    """One request's choices, told whole or piece by piece."""

    def __init__(
        self, worker: Worker, chat: ChatRequest, prompt_token_ids: list[int], thinking: bool, grammar: Grammar | None
    ) -> None:
        self._worker, self._chat = worker, chat
        self._tokenizer, self._model = worker.loaded.tokenizer, worker.loaded.model
        prefix, heal = _continuation(self._tokenizer, chat, thinking)
        self._request: GenerationRequest = worker.request(
            new_id("chatcmpl"),
            prompt_token_ids,
            chat.params,
            chat.seed,
            chat.output,
            prefix,
            heal,
            grammar,
        )
        prefix_text = self._tokenizer.decode(list(prefix)) + heal.decode()
        self._parsers = [
            AnswerParser(thinking, bool(chat.tools.offered), prefix_text) for _ in range(chat.output.num_choices)
        ]
        self._created = int(time.time())
        self._usage = UsageCount()
        self._num_reasoning = 0

    async def whole(self) -> dict[str, Any]:
        choices: list[dict[str, Any]] = [self._empty_choice(i) for i in range(self._chat.output.num_choices)]
        async with aclosing(self._worker.generate(self._request, "chat")) as deltas:
            async for delta in deltas:
                self._usage.see(0, delta.choice, delta.usage)
                self._extend(choices[delta.choice], delta)
        return self._envelope("chat.completion", choices) | {"usage": self._usage_body()}

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The first chunk of a choice names the role; the last one of the stream, where it is asked for, the usage."""
        options = self._chat.output
        extra = {"usage": None} if options.include_usage else {}
        begun = False
        async with aclosing(with_keep_alive(self._worker.generate(self._request, "chat"))) as deltas:
            async for delta in deltas:
                if delta is None:
                    yield keep_alive(self._worker.queue_position(self._request))
                    continue
                if not begun:
                    begun = True
                    roles = [
                        self._chunk_choice(i, {"role": "assistant", "content": ""}) for i in range(len(self._parsers))
                    ]
                    yield event(self._envelope("chat.completion.chunk", roles) | extra)
                self._usage.see(0, delta.choice, delta.usage)
                yield event(self._envelope("chat.completion.chunk", [self._chunk(delta)]) | extra)
        if options.include_usage:
            yield event(self._envelope("chat.completion.chunk", []) | {"usage": self._usage_body()})
        yield DONE

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._request.id,
            "object": kind,
            "created": self._created,
            "model": self._model.name,
            "choices": choices,
        }

    def _usage_body(self) -> dict[str, Any]:
        details = {"completion_tokens_details": {"reasoning_tokens": self._num_reasoning}}
        return self._usage.body() | (details if self._chat.thinking else {})

    def _parse(self, delta: Delta) -> tuple[Said, str | None]:
        """What the delta says, and why the answer ends with it, if it does."""
        parser = self._parsers[delta.choice]
        if parser.is_thinking:
            self._num_reasoning += len(delta.token_ids)
        said = parser.push(delta.text)
        if delta.finish_reason is None:
            return said, None
        is_call = delta.finish_reason == "stop" and parser.has_called
        return said + parser.finish(), "tool_calls" if is_call else delta.finish_reason

    def _chunk(self, delta: Delta) -> dict[str, Any]:
        said, finish_reason = self._parse(delta)
        told: dict[str, Any] = {"reasoning_content": said.reasoning} if said.reasoning else {}
        if said.calls:
            told["tool_calls"] = [piece.as_delta() for piece in said.calls]
        if said.content or not (told or finish_reason):
            told["content"] = said.content
        choice = self._chunk_choice(delta.choice, told, finish_reason)
        if self._chat.params.num_logprobs is not None:
            choice["logprobs"] = chat_logprobs(self._tokenizer, delta.logprobs)
        if self._chat.output.return_token_ids:
            choice["token_ids"] = list(delta.token_ids)
        return choice

    def _chunk_choice(self, index: int, told: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": told, "logprobs": None, "finish_reason": finish_reason}

    def _empty_choice(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        if self._chat.thinking:
            message["reasoning_content"] = ""
        choice: dict[str, Any] = {"index": index, "message": message, "logprobs": None, "finish_reason": None}
        if self._chat.params.num_logprobs is not None:
            choice["logprobs"] = chat_logprobs(self._tokenizer, ())
        if self._chat.output.return_token_ids:
            choice["token_ids"] = []
        return choice

    def _extend(self, choice: dict[str, Any], delta: Delta) -> None:
        said, finish_reason = self._parse(delta)
        message = choice["message"]
        message["content"] += said.content
        if self._chat.thinking:
            message["reasoning_content"] += said.reasoning
        for piece in said.calls:
            _extend_calls(message.setdefault("tool_calls", []), piece)
        if self._chat.params.num_logprobs is not None:
            choice["logprobs"]["content"] += chat_logprobs(self._tokenizer, delta.logprobs)["content"]
        if self._chat.output.return_token_ids:
            choice["token_ids"] += delta.token_ids
        choice["finish_reason"] = finish_reason


def _extend_calls(calls: list[dict[str, Any]], piece: CallPiece) -> None:
    if piece.name is not None or not calls:  # nothing before: the arguments of a call that a prefix began
        function = {"name": piece.name, "arguments": ""}
        calls.append({"id": piece.id, "type": "function", "function": function})
    calls[-1]["function"]["arguments"] += piece.arguments
