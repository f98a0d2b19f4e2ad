"""The way of one claimed call: prepare, ask, say, end. However it goes, it ends once, and so does its row of usage."""

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import replace
from uuid import UUID

from django.db import DatabaseError
from redis.exceptions import RedisError

from chatapp.answers.held import DATABASE_AWAY, Held, Stopped
from chatapp.answers.joining import joined
from chatapp.answers.models import Status
from chatapp.answers.patience import Patience, Tries
from chatapp.answers.prepared import CannotAnswer
from chatapp.answers.steps import FILES_EVERY_S, FILES_S
from chatapp.endpoints.client import EndpointClient
from chatapp.endpoints.deltas import Completed
from chatapp.endpoints.dialects import Question
from chatapp.endpoints.faults import Dropped, EndpointError, RateLimited, Rejected, Unreachable
from chatapp.programs import log
from chatapp.programs.claiming import CallClaim, CallEnding, end_call, mark_sent, release
from chatapp.programs.preparing import CalledOff, Gone, Loaded, PreparedCall, load, prepare
from chatapp.programs.result import Result, Tokens
from chatapp.programs.saying import Saying
from chatapp.programs.sources import annotations, count_moving
from chatapp.threads import in_thread
from chatapp.usage.metering import metered
from chatapp.usage.quotas import output_allowed
from chatapp.usage.recording import Asked, Kind, begin, prices_of, tokens_of

logger = logging.getLogger(__name__)

QUOTA = "What may be spent is not enough for this request; it starts again with the day or the month (UTC)."
CANCELLED = CallEnding(Status.CANCELLED)


class CallRun(Held):
    """From the claim to the end."""

    def __init__(self, claim: CallClaim, client: EndpointClient, patience: Patience, claimed_at: float) -> None:
        super().__init__(f"call {claim.call_id}", claimed_at)
        self.claim = claim
        self._client = client
        self._patience = patience
        self._saying = Saying(claim.call_id)
        self._is_sent = False
        self._started_at = time.monotonic()

    @property
    def id(self) -> UUID:
        return self.claim.call_id

    async def save(self) -> None:
        """Nothing to save: a call that is cut is not taken over."""

    async def run(self) -> None:
        try:
            ending = await self._answer()
        except CalledOff:
            ending = CANCELLED
        except Stopped:
            ending = CANCELLED if self.stop_reason == "cancel" else _failed("interrupted")
        except Gone:
            return
        except EndpointError as fault:
            ending = _of_fault(fault)
        except CannotAnswer as refused:
            ending = _failed(refused.code, refused.detail)
        except Exception as error:
            logger.error("call %s failed: %s", self.id, type(error).__name__)
            ending = _failed("internal")
        if self.stop_reason == "lost" or (self.stop_reason == "release" and await self._release()):
            return
        await self._end(ending)

    async def _answer(self) -> CallEnding:
        loaded = await self.patiently(in_thread, load, self.claim)
        await self._wait_for_files(loaded)
        prepared = await self.patiently(in_thread, prepare, loaded)
        completed, spending = await self._ask(loaded, prepared)
        spent = await self.patiently(in_thread, tokens_of, spending)
        saying = self._saying
        result = Result(
            text=saying.text,
            reasoning=saying.reasoning,
            calls=completed.calls,
            finish_reason="tool_calls" if completed.calls else completed.finish_reason or "stop",
            tokens=Tokens(spent.hit + spent.miss, spent.hit, spent.output),
            annotations=annotations(saying.text, prepared.drafts),
            logprobs=completed.logprobs,
        )
        return CallEnding(Status.FINISHED, result=result)

    async def _wait_for_files(self, loaded: Loaded) -> None:
        """Until those that it refers to are read. What takes too long fails the call, when it is prepared."""
        give_up = time.monotonic() + FILES_S
        while loaded.asking.file_ids and time.monotonic() < give_up:
            if not await self.patiently(in_thread, count_moving, loaded.asking):
                return
            await self.pause(FILES_EVERY_S)

    async def _ask(self, loaded: Loaded, prepared: PreparedCall) -> tuple[Completed, UUID]:
        """Asks again only what the endpoint has not taken, or our own worker has lost before its first word."""
        tries = Tries(self._patience, loaded.endpoint.is_local)
        while True:
            question = await self._within_quota(loaded, prepared)
            await self._mark_sent()
            try:
                return await self._stream(loaded, prepared, question)
            except (Unreachable, RateLimited, Dropped) as fault:
                wait_s = tries.next_wait_s(fault)
                is_taken = isinstance(fault, Dropped) and not loaded.endpoint.is_local
                if is_taken or self._saying.has_begun or wait_s is None:
                    raise
                await self.pause(wait_s)

    async def _within_quota(self, loaded: Loaded, prepared: PreparedCall) -> Question:
        """With no more output than may still be spent. Raises CannotAnswer where that is none."""
        prices = prices_of(loaded.endpoint)
        left = await self.patiently(
            in_thread, output_allowed, loaded.owner_id, prepared.prompt_tokens, prices, loaded.key.pk
        )
        if left == 0:
            raise CannotAnswer("quota", QUOTA)
        question = prepared.question
        return question if left is None else replace(question, max_tokens=min(question.max_tokens, left))

    async def _mark_sent(self) -> None:
        if not self._is_sent:
            if not await self.patiently(in_thread, mark_sent, self.claim):
                raise Gone
            self._is_sent = True

    async def _stream(self, loaded: Loaded, prepared: PreparedCall, question: Question) -> tuple[Completed, UUID]:
        asked = Asked(Kind.CALL, loaded.owner_id, loaded.endpoint, self.id, loaded.key.pk)
        spending = await self.patiently(in_thread, begin, asked, prepared.prompt_tokens)
        stream = self._client.stream(prepared.target, question)
        async with (
            metered(stream, spending, loaded.endpoint, loaded.counter) as source,
            aclosing(joined(source, self.stopping)) as pieces,
        ):
            async for piece in pieces:
                if isinstance(piece, Completed):
                    return piece, spending
                await self._saying.add(piece)
        raise Stopped

    async def _release(self) -> bool:
        """Back into the queue, where nothing was asked yet. Else the program hears that it was interrupted."""
        return not self._is_sent and await in_thread(release, self.claim)

    async def _end(self, ending: CallEnding) -> None:
        """The terminal commit, as long as it takes; then the word of it, which the reader's look makes up for."""
        while True:
            try:
                ended = await in_thread(end_call, self.claim, ending)
                break
            except DATABASE_AWAY:
                if self.stop_reason in ("release", "lost"):
                    return  # the lease runs out by itself
                await asyncio.sleep(0.3)
            except DatabaseError as error:
                logger.error("call %s: %s", self.id, type(error).__name__)
                ending = _failed("internal")
        if not ended:
            logger.info("call %s was ended by another", self.id)
            return
        tokens = ending.result.tokens if ending.result else None
        logger.info(
            "call %s %s %s prompt=%s cached=%s completion=%s %.2fs",
            self.id,
            ending.status.value,
            ending.error_code,
            tokens and tokens.prompt,
            tokens and tokens.cached,
            tokens and tokens.completion,
            time.monotonic() - self._started_at,
        )
        try:
            await in_thread(log.say_ended, self.id)
        except RedisError as error:
            logger.warning("call %s ended, not told: %s", self.id, type(error).__name__)


def _failed(code: str, detail: str = "", retry_after_s: int | None = None) -> CallEnding:
    return CallEnding(Status.FAILED, code, detail, retry_after_s)


def _of_fault(fault: EndpointError) -> CallEnding:
    if isinstance(fault, Rejected) and fault.is_askers:
        return _failed("refused", fault.detail)
    wait_s = fault.retry_after_s if isinstance(fault, RateLimited) else None
    return _failed(fault.code, fault.detail, None if wait_s is None else max(1, round(wait_s)))
