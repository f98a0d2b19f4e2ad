"""POST /v1/chat/completions, at once or as a stream, and the continuation of an answer that was cut."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from inference.engine import Delta
from inference.sequence import GenerationRequest
from inference.server.answers import UsageCount, chat_logprobs, new_id, read_json
from inference.server.errors import BadRequest
from inference.server.reasoning import END_OF_THINKING, ReasoningSplitter
from inference.server.requests import ChatRequest, Prefix, parse_chat
from inference.server.streaming import DONE, KEEP_ALIVE, EventStream, event, while_connected, with_keep_alive
from inference.server.worker import Worker
from inference.tokenizer import Tokenizer

# The last word with the blank before it, or 16 characters of what has no blanks.
_LAST_WORD = re.compile(r"\s?\S{0,16}\Z")


async def chat_completions(request: Request) -> Response | ASGIApp:
    worker: Worker = request.app.state.worker
    chat = parse_chat(await read_json(request), worker.loaded.model)
    answer = _Answer(worker, chat)
    if chat.output.stream:
        return EventStream(answer.stream())
    return JSONResponse(await while_connected(request, answer.whole()))


def _continuation(tokenizer: Tokenizer, chat: ChatRequest) -> tuple[tuple[int, ...], bytes]:
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
        if any(told) and told != ReasoningSplitter(chat.thinking).push(tokenizer.decode(list(prefix.token_ids))):
            raise BadRequest("token_ids do not decode to the content beside them", param="token_ids")
        return prefix.token_ids, b""
    text = _written(prefix, chat.thinking)
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

    def __init__(self, worker: Worker, chat: ChatRequest) -> None:
        self._worker, self._chat = worker, chat
        self._tokenizer, self._model = worker.loaded.tokenizer, worker.loaded.model
        prefix, heal = _continuation(self._tokenizer, chat)
        self._request: GenerationRequest = worker.request(
            new_id("chatcmpl"),
            worker.encode_chat(chat.messages, chat.thinking),
            chat.params,
            chat.seed,
            chat.output,
            prefix,
            heal,
        )
        prefix_text = self._tokenizer.decode(list(prefix)) + heal.decode()
        self._splitters = [ReasoningSplitter(chat.thinking, prefix_text) for _ in range(chat.output.num_choices)]
        self._usage = UsageCount()

    async def whole(self) -> dict[str, Any]:
        choices: list[dict[str, Any]] = [self._empty_choice(i) for i in range(self._chat.output.num_choices)]
        async with aclosing(self._worker.generate(self._request, "chat")) as deltas:
            async for delta in deltas:
                self._usage.see(0, delta.choice, delta.usage)
                self._extend(choices[delta.choice], delta)
        return self._envelope("chat.completion", choices) | {"usage": self._usage.body()}

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The first chunk of a choice names the role; the last one of the stream, where it is asked for, the usage."""
        options = self._chat.output
        extra = {"usage": None} if options.include_usage else {}
        begun = False
        async with aclosing(with_keep_alive(self._worker.generate(self._request, "chat"))) as deltas:
            async for delta in deltas:
                if delta is None:
                    yield KEEP_ALIVE
                    continue
                if not begun:
                    begun = True
                    roles = [
                        self._chunk_choice(i, {"role": "assistant", "content": ""}) for i in range(len(self._splitters))
                    ]
                    yield event(self._envelope("chat.completion.chunk", roles) | extra)
                self._usage.see(0, delta.choice, delta.usage)
                yield event(self._envelope("chat.completion.chunk", [self._chunk(delta)]) | extra)
        if options.include_usage:
            yield event(self._envelope("chat.completion.chunk", []) | {"usage": self._usage.body()})
        yield DONE

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._request.id,
            "object": kind,
            "created": self._worker.created,
            "model": self._model.name,
            "choices": choices,
        }

    def _split(self, delta: Delta) -> tuple[str, str]:
        splitter = self._splitters[delta.choice]
        reasoning, content = splitter.push(delta.text)
        if delta.finish_reason is not None:
            reasoning += splitter.finish()
        return reasoning, content

    def _chunk(self, delta: Delta) -> dict[str, Any]:
        reasoning, content = self._split(delta)
        said = {"reasoning_content": reasoning} if reasoning else {}
        if content or not (reasoning or delta.finish_reason):
            said["content"] = content
        choice = self._chunk_choice(delta.choice, said, delta.finish_reason)
        if self._chat.params.num_logprobs is not None:
            choice["logprobs"] = chat_logprobs(self._tokenizer, delta.logprobs)
        if self._chat.output.return_token_ids:
            choice["token_ids"] = list(delta.token_ids)
        return choice

    def _chunk_choice(self, index: int, said: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": said, "logprobs": None, "finish_reason": finish_reason}

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
        reasoning, content = self._split(delta)
        choice["message"]["content"] += content
        if self._chat.thinking:
            choice["message"]["reasoning_content"] += reasoning
        if self._chat.params.num_logprobs is not None:
            choice["logprobs"]["content"] += chat_logprobs(self._tokenizer, delta.logprobs)["content"]
        if self._chat.output.return_token_ids:
            choice["token_ids"] += delta.token_ids
        choice["finish_reason"] = delta.finish_reason
