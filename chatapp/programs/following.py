"""A call as the web process waits for it: its words in order, then how it has ended.

Whoever stops listening has called it off: closing the iterator does that, whatever the reason.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID

from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from chatapp.answers.events import Part
from chatapp.answers.models import Status
from chatapp.ending import end_tasks
from chatapp.programs import calling, log
from chatapp.programs.claiming import WATCHED_EVERY_S
from chatapp.programs.errors import of_call
from chatapp.programs.log import Entry
from chatapp.programs.models import Call
from chatapp.programs.result import Result
from chatapp.programs.saying import PARTS
from chatapp.threads import in_thread

logger = logging.getLogger(__name__)

_leaving: set[asyncio.Task[None]] = set()
AGAIN_S = 0.5  # while Valkey is away


@dataclass(frozen=True, slots=True)
class Words:
    part: Part
    text: str


async def follow(call_id: UUID) -> AsyncGenerator[Words | Result]:
    """Words, then exactly one Result. Raises ApiError for a call that failed."""
    has_ended = False
    held: dict[Part, int] = dict.fromkeys(PARTS, 0)
    last, looked_at = "0", time.monotonic()
    try:
        while True:
            last, entries = await _next(call_id, last)
            for entry in entries:
                if words := _new(entry, held):
                    yield words
            if any(entry.part is None for entry in entries) or time.monotonic() - looked_at >= WATCHED_EVERY_S:
                looked_at = time.monotonic()
                ended = await in_thread(_look, call_id)
                if ended is not None:
                    has_ended = True
                    result = _result_of(ended)
                    for words in _rest(result, held):
                        yield words
                    yield result
                    return
    finally:
        # By a task of its own: whoever goes away cancels this one, at any await.
        leaving = asyncio.create_task(_leave(call_id, has_ended))
        _leaving.add(leaving)
        leaving.add_done_callback(_leaving.discard)
        await asyncio.shield(leaving)


async def _next(call_id: UUID, last: str) -> tuple[str, list[Entry]]:
    """In a task of its own: redis-py may swallow a cancellation (see chatapp/ending.py), and must not swallow ours."""
    reading = asyncio.create_task(log.read(call_id, last))
    try:
        await asyncio.wait({reading})
    finally:
        await end_tasks(reading)
    try:
        return reading.result()
    except RedisError as error:
        logger.warning("call %s is not heard: %s", call_id, type(error).__name__)
        await asyncio.sleep(AGAIN_S)
        return last, []


def _new(entry: Entry, held: dict[Part, int]) -> Words | None:
    """What of it is new. Behind a gap nothing is, until the row has it all."""
    if entry.part is None or entry.at > held[entry.part]:
        return None
    text = entry.text[held[entry.part] - entry.at :]
    held[entry.part] += len(text)
    return Words(entry.part, text) if text else None


def _rest(result: Result, held: dict[Part, int]) -> list[Words]:
    whole: dict[Part, str] = {"text": result.text, "reasoning": result.reasoning}
    return [Words(part, rest) for part in PARTS if (rest := whole[part][held[part] :])]


def _look(call_id: UUID) -> Call | None:
    """None also while PostgreSQL is away: the next look tells. Raises ApiError."""
    try:
        return calling.watch(call_id)
    except Call.DoesNotExist as error:  # with its key, and that with its person
        raise of_call(Status.CANCELLED, "", "") from error
    except (OperationalError, InterfaceError) as error:
        logger.warning("call %s is not looked at: %s", call_id, type(error).__name__)
        return None


def _result_of(call: Call) -> Result:
    """Raises ApiError."""
    if call.status != Status.FINISHED:
        raise of_call(call.status, call.error_code, call.error_detail, call.retry_after_s)
    assert call.result is not None, "a finished call has a result"
    return Result.from_json(call.result)


async def _leave(call_id: UUID, has_ended: bool) -> None:
    """What fails here is made up for: a call that nobody watches is called off, and a row that has ended is removed."""
    try:
        await in_thread(calling.let_go if has_ended else calling.cancel, call_id)
        await log.drop(call_id)
    except (RedisError, OperationalError, InterfaceError) as error:
        logger.warning("call %s not left: %s", call_id, type(error).__name__)
