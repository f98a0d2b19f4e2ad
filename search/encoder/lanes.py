"""Two lanes to one model: whoever waits for an answer goes before batches, which are done in small pieces.

One thread does the work: a second would compete with it for the interpreter, and the batch's piece, niced away, could
hold what the question waits for.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count

from search.encoder.model import Encode

logger = logging.getLogger(__name__)

IDLE_S = 600.0  # after which the model's memory is given back
PIECE = 2  # texts: 20 to 60 ms for passages of 150 words, and no question waits longer


class Lane(IntEnum):
    QUESTION = 0
    BATCH = 1


@dataclass(order=True, slots=True)
class _Job:
    lane: Lane
    number: int
    texts: Sequence[str] = field(compare=False)
    done: "asyncio.Future[list[list[float]]]" = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    vectors: list[list[float]] = field(compare=False, default_factory=list)


class Lanes:
    """Loads the model with the first text and forgets it after `idle_s` without one."""

    def __init__(self, load: Callable[[], Encode], idle_s: float = IDLE_S) -> None:
        self._load = load
        self._idle_s = idle_s
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._numbers = count()
        self._encode: Encode | None = None
        threading.Thread(target=self._work, name="encoder", daemon=True).start()

    @property
    def is_loaded(self) -> bool:
        return self._encode is not None

    async def encode(self, texts: Sequence[str], lane: Lane) -> list[list[float]]:
        """One vector a text. A batch whose caller has gone is left where it is."""
        loop = asyncio.get_running_loop()
        job = _Job(lane, next(self._numbers), texts, loop.create_future(), loop)
        self._jobs.put(job)
        return await job.done

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._idle_s)
            except queue.Empty:
                self._forget()
                continue
            if not job.done.cancelled():
                self._do(job)

    def _do(self, job: _Job) -> None:
        """A piece of the job; the rest queues again, in its old place but behind every question."""
        try:
            if self._encode is None:
                began = time.monotonic()
                self._encode = self._load()
                logger.info("encoder loaded %.2fs", time.monotonic() - began)
            first = len(job.vectors)
            job.vectors += self._encode(job.texts[first : first + PIECE])
        except Exception as error:  # whatever the library raises ends this job, not the thread
            logger.exception("encoder failed texts=%d", len(job.texts))
            job.loop.call_soon_threadsafe(_fail, job.done, error)
            return
        if len(job.vectors) < len(job.texts):
            self._jobs.put(job)
        else:
            job.loop.call_soon_threadsafe(_finish, job.done, job.vectors)

    def _forget(self) -> None:
        if self._encode is not None:
            self._encode = None
            logger.info("encoder forgotten after %.0fs without work", self._idle_s)


def _finish(done: "asyncio.Future[list[list[float]]]", vectors: list[list[float]]) -> None:
    if not done.done():
        done.set_result(vectors)


def _fail(done: "asyncio.Future[list[list[float]]]", error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
