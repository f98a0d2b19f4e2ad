"""POST /v1/completions: raw text or token ids continued; with `echo` and `logprobs` the prompt itself is scored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from inference.engine import Delta
from inference.sequence import GenerationRequest, TokenLogprob
from inference.server.answers import UsageCount, new_id, read_json, token_text
from inference.server.requests import CompletionRequest, parse_completion
from inference.server.streaming import DONE, EventStream, event, keep_alive, merge, while_connected, with_keep_alive
from inference.server.worker import Worker


async def completions(request: Request) -> Response | ASGIApp:
    worker: Worker = request.app.state.worker
    completion = parse_completion(await read_json(request), worker.loaded.model)
    for prompt in completion.prompts:
        worker.check_length(len(prompt) if isinstance(prompt, str) else 0, "prompt")
    answer = await asyncio.to_thread(_Answer, worker, completion)
    if completion.output.stream:
        return EventStream(answer.stream())
    return JSONResponse(await while_connected(request, answer.whole()))


class _Answer:
    """The choices of all prompts, numbered prompt by prompt; each prompt is a request of its own to the engine."""

    def __init__(self, worker: Worker, completion: CompletionRequest) -> None:
        self._worker, self._completion = worker, completion
        self._tokenizer, self._model = worker.loaded.tokenizer, worker.loaded.model
        self._id = new_id("cmpl")
        self._requests = [self._prepare(i, prompt) for i, prompt in enumerate(completion.prompts)]
        self._created = int(time.time())
        self._usage = UsageCount()
        self._offsets = [0] * (len(self._requests) * completion.output.num_choices)
        self._begun: set[int] = set()

    def _prepare(self, number: int, prompt: str | tuple[int, ...]) -> GenerationRequest:
        completion = self._completion
        if completion.suffix is None:
            token_ids = self._tokenizer.encode_prompt(prompt) if isinstance(prompt, str) else list(prompt)
        else:
            before = self._tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
            token_ids = self._tokenizer.encode_fill(before, self._tokenizer.encode(completion.suffix))
        return self._worker.request(
            f"{self._id}-{number}", token_ids, completion.params, completion.seed, completion.output, param="prompt"
        )

    async def whole(self) -> dict[str, Any]:
        choices: dict[int, dict[str, Any]] = {}
        async with aclosing(self._deltas()) as deltas:
            async for number, delta in deltas:
                choice = self._choice(number, delta)
                known = choices.setdefault(choice["index"], choice)
                if known is not choice:
                    _extend(known, choice)
        ordered = [choices[index] for index in sorted(choices)]
        return self._envelope(ordered) | {"usage": self._usage.body()}

    async def stream(self) -> AsyncGenerator[bytes, None]:
        include_usage = self._completion.output.include_usage
        extra = {"usage": None} if include_usage else {}
        async with aclosing(with_keep_alive(self._deltas())) as deltas:
            async for item in deltas:
                if item is None:
                    yield keep_alive(self._worker.queue_position(*self._requests))
                    continue
                yield event(self._envelope([self._choice(*item)]) | extra)
        if include_usage:
            yield event(self._envelope([]) | {"usage": self._usage.body()})
        yield DONE

    def _deltas(self) -> AsyncGenerator[tuple[int, Delta], None]:
        self._worker.check_room(self._completion.output.user, len(self._requests))  # none is begun in vain
        return merge([self._worker.generate(request, "completions") for request in self._requests])

    def _envelope(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self._model.name,
            "choices": choices,
        }

    def _choice(self, number: int, delta: Delta) -> dict[str, Any]:
        self._usage.see(number, delta.choice, delta.usage)
        index = number * self._completion.output.num_choices + delta.choice
        text, token_ids = delta.text, list(delta.token_ids)
        sampled = (*delta.logprobs, *delta.unsaid_logprobs)  # one for each token, as those who score text count on it
        logprobs: list[TokenLogprob | None] = list(sampled)
        texts = [token_text(self._tokenizer, entry.token_id) for entry in sampled]
        if self._completion.echo and index not in self._begun:
            prompt = self._requests[number].prompt_token_ids
            text = self._prompt_text(number) + text
            token_ids = [*prompt, *token_ids]
            logprobs = [*(delta.prompt_logprobs or ()), *logprobs]
            texts = [*(token_text(self._tokenizer, token_id) for token_id in prompt), *texts]
        self._begun.add(index)
        choice: dict[str, Any] = {
            "index": index,
            "text": text,
            "logprobs": None,
            "finish_reason": delta.finish_reason,
        }
        if self._completion.params.num_logprobs is not None:
            choice["logprobs"] = self._logprobs(index, texts, logprobs)
        if self._completion.output.return_token_ids:
            choice["token_ids"] = token_ids
        return choice

    def _prompt_text(self, number: int) -> str:
        prompt = self._completion.prompts[number]
        return prompt if isinstance(prompt, str) else self._tokenizer.decode(list(prompt))

    def _logprobs(self, index: int, texts: list[str], logprobs: list[TokenLogprob | None]) -> dict[str, Any]:
        offsets = []
        for text in texts:
            offsets.append(self._offsets[index])
            self._offsets[index] += len(text)
        num_top = self._completion.params.num_logprobs
        return {
            "tokens": texts,
            "token_logprobs": [None if entry is None else entry.logprob for entry in logprobs],
            "top_logprobs": [self._top(entry) for entry in logprobs] if num_top else None,
            "text_offset": offsets,
        }

    def _top(self, entry: TokenLogprob | None) -> dict[str, float] | None:
        """The best tokens and, as OpenAI does, the chosen one if it is not among them.

        Halves of characters all read alike: the best of them is told.
        """
        if entry is None:
            return None
        best = reversed((*entry.top, (entry.token_id, entry.logprob)))
        return {token_text(self._tokenizer, token_id): logprob for token_id, logprob in best}


def _extend(choice: dict[str, Any], more: dict[str, Any]) -> None:
    choice["text"] += more["text"]
    choice["finish_reason"] = more["finish_reason"]
    if "token_ids" in choice:
        choice["token_ids"] += more["token_ids"]
    if choice["logprobs"] is not None:
        for name, values in more["logprobs"].items():
            if values is not None:
                choice["logprobs"][name] += values
