"""The served model: loading, then ready, then stopping. Every request goes through `generate`, which counts and logs.

Log lines hold ids, counts and durations, never text.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from inference.async_engine import AsyncEngine, EngineStopped
from inference.engine import Delta, Engine, Usage
from inference.grammar import Grammar, GrammarCompiler
from inference.sequence import GenerationRequest, SamplingParams
from inference.server.errors import BadRequest, GenerationFailed, RateLimited, Unavailable, Unprocessable
from inference.server.metrics import Gauges, Metrics
from inference.server.requests import ChatMessage, Output, ServedModel
from inference.server.tools import Tool
from inference.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

# Beyond this many requests a newcomer is told to come back: 96 waiting for 8 places is minutes on a CPU already.
MAX_REQUESTS = 96
# Of these, for users who have no request here yet: one of 64 prompts leaves room for others.
KEPT_FOR_NEWCOMERS = 32
MAX_RETRY_AFTER_S = 60


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready to be asked."""

    model: ServedModel
    tokenizer: Tokenizer
    engine: Engine


T = TypeVar("T")
Report = Callable[[str], None]


class Worker:
    def __init__(self, load: Callable[[Report], Loaded], on_death: Callable[[], None] = lambda: None) -> None:
        """`load` runs in a thread and reports its stages by name; `on_death` is called when it or the engine fails."""
        self._load = load
        self._on_death = on_death
        self._loaded: Loaded | None = None
        self._engine: AsyncEngine | None = None
        self._grammars: GrammarCompiler | None = None
        self._num_requests: Counter[str] = Counter()  # by user
        self._started = time.monotonic()
        self.stage = "starting"
        self.failure: Exception | None = None
        self.metrics = Metrics()
        self.created = int(time.time())

    async def start(self) -> None:
        """Loads the model; until then requests are answered 503."""
        try:
            loaded = await _in_daemon_thread(lambda: self._load(self._set_stage))
        except Exception as error:
            logger.exception("the model could not be loaded")
            self.stage, self.failure = "failed", error
            self._on_death()
            return
        self._engine = AsyncEngine(loaded.engine, self._engine_died)
        self._engine.start()
        self._grammars = GrammarCompiler(loaded.tokenizer, loaded.model.eos_token_ids)
        self._loaded, self.stage = loaded, "ready"
        logger.info("model %s ready in %.1fs", loaded.model.name, time.monotonic() - self._started)

    async def stop(self) -> None:
        self.stage = "stopping"
        if self._engine is not None:
            await self._engine.stop()

    def cancel_all(self) -> None:
        if self._engine is not None:
            self._engine.cancel_all()

    @property
    def is_loading(self) -> bool:
        """Still true after `stop`, which does not wait for it."""
        return self._loaded is None and self.failure is None

    @property
    def num_requests(self) -> int:
        return self._num_requests.total()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def loaded(self) -> Loaded:
        if self._loaded is None:
            raise Unavailable(f"the model is not ready: {self.stage}", "model_loading")
        return self._loaded

    @property
    def gauges(self) -> Gauges:
        if self._loaded is None:
            return Gauges()
        engine = self._loaded.engine
        scheduler = engine.scheduler
        return Gauges(
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            free_blocks=scheduler.blocks.num_free_blocks,
            cached_blocks=scheduler.blocks.num_cached_blocks,
            total_blocks=scheduler.blocks.num_blocks,
            preemptions=scheduler.num_preemptions,
            steps=engine.stats.num_steps,
            step_seconds=engine.stats.step_seconds,
            draft_tokens=engine.stats.num_draft_tokens,
            accepted_draft_tokens=engine.stats.num_accepted_tokens,
        )

    def check_length(self, num_characters: int, param: str) -> None:
        """Refuses a text that cannot fit however well it is tokenised: 16 MB of it take 40 s of a core."""
        limit, longest = self.loaded.engine.max_model_len, self.loaded.tokenizer.longest_token
        if num_characters > limit * longest:
            raise BadRequest(
                f"this model's context is {limit} tokens, but the prompt has at least {num_characters // longest}",
                "context_length_exceeded",
                param,
            )

    def encode_chat(
        self, messages: tuple[ChatMessage, ...], thinking: bool = False, tools: tuple[Tool, ...] = ()
    ) -> list[int]:
        given = [message.as_given() for message in messages]
        try:
            return self.loaded.tokenizer.encode_chat(given, thinking, [tool.as_given() for tool in tools] or None)
        except ValueError as error:
            raise BadRequest(str(error), param="messages") from error

    async def compile_grammar(self, lark: str, param: str) -> Grammar:
        """Raises Unprocessable where the schema asks for what cannot be enforced."""
        assert self._grammars is not None
        try:
            return await asyncio.to_thread(self._grammars.compile, lark)
        except ValueError as error:
            raise Unprocessable(f"{param} cannot be enforced: {error}", "unsupported_schema", param) from error

    def request(
        self,
        id: str,
        prompt_token_ids: Sequence[int],
        params: SamplingParams,
        seed: int | None,
        output: Output,
        prefix_token_ids: Sequence[int] = (),
        heal: bytes = b"",
        grammar: Grammar | None = None,
        param: str = "messages",
    ) -> GenerationRequest:
        """Judges the length, and settles what the client left open: max_tokens and the seed."""
        limit = self.loaded.engine.max_model_len
        num_tokens = len(prompt_token_ids) + len(prefix_token_ids)
        if not prompt_token_ids:
            raise BadRequest("the prompt holds no token", param=param)
        needs_room = params.max_tokens != 0 and not prefix_token_ids
        if num_tokens + needs_room > limit:
            raise BadRequest(
                f"this model's context is {limit} tokens, but the prompt has {num_tokens}"
                + (" and the answer needs at least 1" if num_tokens <= limit else ""),
                "context_length_exceeded",
                param,
            )
        if params.max_tokens < 0:
            params = replace(params, max_tokens=limit)
        params = replace(params, seed=seed if seed is not None else secrets.randbits(63))
        if grammar is not None:
            self._check_prefix(grammar, prefix_token_ids, heal)
        return GenerationRequest(
            id,
            tuple(prompt_token_ids),
            params,
            tuple(prefix_token_ids),
            heal,
            num_choices=output.num_choices,
            user=output.user,
            grammar=grammar,
        )

    def _check_prefix(self, grammar: Grammar, prefix_token_ids: Sequence[int], heal: bytes) -> None:
        try:
            grammar.start([*prefix_token_ids, *self.loaded.tokenizer.encode_bytes(heal)])
        except ValueError as error:
            raise Unprocessable(f"{error}; leave the prefix or the format out", "contradiction", "messages") from error

    async def generate(self, request: GenerationRequest, endpoint: str) -> AsyncGenerator[Delta, None]:
        """The engine's deltas. Raises RateLimited, Unavailable, or GenerationFailed for a choice's own error."""
        engine = self._engine
        if engine is None or self.stage != "ready":
            raise Unavailable("the worker is shutting down", "shutting_down")
        self.check_room(request.user)
        self.metrics.accepted += 1
        record = _Record(request, endpoint, self.metrics)
        self._num_requests[request.user] += 1
        try:
            async with aclosing(engine.generate(request)) as deltas:
                async for delta in deltas:
                    record.see(delta)
                    if delta.finish_reason == "error":
                        raise GenerationFailed(f"the generation failed: {delta.error}", "generation_failed")
                    if delta.finish_reason == "cancelled":
                        raise Unavailable("the worker is shutting down", "shutting_down")
                    if delta.finish_reason == "expired":
                        record.outcome = "expired"
                        raise Unavailable("the request has waited too long for its turn", "waited_too_long")
                    yield delta
            record.outcome = "finished"
        except (GenerationFailed, EngineStopped) as error:
            record.outcome = "failed"
            if isinstance(error, EngineStopped):
                raise Unavailable(str(error), "shutting_down") from error
            raise
        finally:
            self._num_requests.subtract([request.user])
            self._num_requests += Counter()  # forgets who has none
            record.close()

    def queue_position(self, *requests: GenerationRequest) -> int | None:
        """Of the first of these that has not been given a place; None where none waits."""
        if self._engine is None:
            return None
        positions = [self._engine.queue_position(request.id) for request in requests]
        return min((position for position in positions if position is not None), default=None)

    def check_room(self, user: str, num_more: int = 1) -> None:
        """Raises RateLimited unless so many more requests of this user may come in, all of them."""
        num_requests = self.num_requests
        is_only_one = num_more == 1 and self._num_requests[user] == 0
        limit = MAX_REQUESTS - (0 if is_only_one else KEPT_FOR_NEWCOMERS)
        if num_requests + num_more <= limit:
            return
        self.metrics.refused += 1
        seconds = self.metrics.mean_request_seconds / self.loaded.engine.scheduler.max_num_seqs
        raise RateLimited(
            f"{num_requests} requests are being served or waiting",
            "too_many_requests",
            retry_after_s=min(max(1, math.ceil(seconds)), MAX_RETRY_AFTER_S),  # until one of them ends
        )

    def _set_stage(self, stage: str) -> None:
        """Every layer is told to /health; the log has one line for all of them."""
        is_new = stage.partition(",")[0] != self.stage.partition(",")[0]
        self.stage = stage
        if is_new:
            logger.info("%s (%.1fs)", stage, self.seconds)

    def _engine_died(self) -> None:
        self.stage = "failed"
        self.failure = RuntimeError("the engine thread died")
        self._on_death()


async def _in_daemon_thread(work: Callable[[], T]) -> T:
    """Like asyncio.to_thread, but a program that is told to stop does not wait for it: loading may take minutes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            _tell(loop, future.set_exception, error)
        else:
            _tell(loop, future.set_result, result)

    threading.Thread(target=run, name="load", daemon=True).start()
    return await future


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[[Any], None], value: object) -> None:
    def settle() -> None:
        with suppress(asyncio.InvalidStateError):  # cancelled meanwhile
            tell(value)

    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(settle)


class _Record:
    """One request's life, as one log line and as metrics."""

    def __init__(self, request: GenerationRequest, endpoint: str, metrics: Metrics) -> None:
        self.outcome = "cancelled"  # until something else is known: the reader went away
        self._request, self._endpoint, self._metrics = request, endpoint, metrics
        self._started = time.monotonic()
        self._first: float | None = None
        self._newest: dict[int, float] = {}  # when each choice last said something
        self._usage: dict[int, Usage] = {}
        self._reasons: dict[int, str] = {}

    def see(self, delta: Delta) -> None:
        now = time.monotonic()
        if self._first is None and delta.text:
            self._first = now - self._started
        if delta.token_ids:
            if delta.choice in self._newest:
                seconds = (now - self._newest[delta.choice]) / len(delta.token_ids)
                self._metrics.between_tokens.observe(seconds, times=len(delta.token_ids))
            self._newest[delta.choice] = now
        self._usage[delta.choice] = delta.usage
        if delta.finish_reason is not None:
            self._reasons[delta.choice] = delta.finish_reason

    def close(self) -> None:
        seconds = time.monotonic() - self._started
        new = sum(usage.num_new_tokens for usage in self._usage.values())
        prompt = len(self._request.prompt_token_ids) + len(self._request.prefix_token_ids)
        hit = min((usage.num_hit_tokens for usage in self._usage.values()), default=0)
        logger.info(
            "%s %s prompt=%d prefix=%d hit=%d new=%d choices=%d finish=%s first=%.3fs total=%.3fs",
            self._request.id,
            self.outcome,
            len(self._request.prompt_token_ids),
            len(self._request.prefix_token_ids),
            hit,
            new,
            self._request.num_choices,
            ",".join(self._reasons.get(i, "-") for i in range(self._request.num_choices)),
            self._first or 0.0,
            seconds,
        )
        metrics = self._metrics
        metrics.requests[self._endpoint, self.outcome] += 1
        metrics.prompt_tokens += prompt
        metrics.prompt_cache_hit_tokens += hit
        metrics.generated_tokens += new
        metrics.request_seconds += seconds
        if self._first is not None:
            metrics.first_token.observe(self._first)
