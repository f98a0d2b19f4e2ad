"""The runner: claims answers, runs each as a task, renews their leases, saves them, and sweeps.

Several may run side by side; the rows decide who writes. Run: `manage.py run_answers`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

from redis.exceptions import RedisError

from chatapp.answers.claimed import DATABASE_AWAY
from chatapp.answers.claims import RENEW_S, Claim, cancelled_among, claim_answers, renew
from chatapp.answers.doorbell import RUNNER_CHANNEL
from chatapp.answers.generation import Generation
from chatapp.answers.patience import Patience
from chatapp.answers.snapshots import SNAPSHOT_S
from chatapp.answers.sweep import SWEEP_S, emit_lost_events
from chatapp.answers.valkey import client as valkey
from chatapp.answers.waiting import tell_places
from chatapp.ending import end_tasks
from chatapp.endpoints.client import EndpointClient
from chatapp.endpoints.services import ensure_local_endpoint
from chatapp.threads import in_thread

logger = logging.getLogger(__name__)

# Each holds one connection to an endpoint and a snapshot every 2 s: 32 are 16 small transactions a second, and more
# than our own worker decodes at once. Whatever is beyond waits in its row, in order.
CONCURRENCY = 32
STOP_S = 8.0  # to save and release on SIGTERM; supervisors kill after ten


class Runner:
    def __init__(self, concurrency: int = CONCURRENCY, patience: Patience | None = None) -> None:
        self._concurrency = concurrency
        self._patience = patience or Patience()
        self._generations: dict[UUID, Generation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._client: EndpointClient

    def stop(self) -> None:
        """Saves and releases what is running, then `run` returns."""
        self._stopping.set()

    async def run(self) -> None:
        logger.info("runner started concurrency=%d", self._concurrency)
        async with EndpointClient() as self._client:
            loops = [
                asyncio.create_task(self._patiently(work, every_s))
                for work, every_s in (
                    (self._claim, 0.0),
                    (self._renew, RENEW_S),
                    (self._save, SNAPSHOT_S),
                    (self._sweep, SWEEP_S),
                    (self._listen, 0.0),
                )
            ]
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({*loops, stopping}, return_when=asyncio.FIRST_COMPLETED)
                await self._release_all()
            finally:
                await end_tasks(stopping, *loops, *self._tasks)
        logger.info("runner stopped")
        for loop in loops:
            if not loop.cancelled() and (error := loop.exception()):
                raise error

    async def _patiently(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        """The work again and again, however long a service of ours is away. Any other error ends the runner."""
        is_away = False
        while True:
            try:
                await work()
                is_away = False
            except (RedisError, *DATABASE_AWAY) as error:
                if not is_away:
                    logger.warning("runner waits in %s: %s", work.__name__, type(error).__name__)
                is_away = True
            await asyncio.sleep(max(every_s, 0.5 if is_away else 0.0))

    async def _claim(self) -> None:
        """Takes what is free, then sleeps until the bell, an answer's end or the sweep's time."""
        self._wake.clear()
        if any(generation.is_overdue for generation in self._generations.values()):
            await self._renew()  # after an outage: what is still ours goes on, it is not taken over
        free = self._concurrency - len(self._generations)
        if free > 0 and not self._stopping.is_set():
            sent_at = time.monotonic()
            for claim in await in_thread(claim_answers, free):
                self._begin(claim, sent_at)
        try:
            async with asyncio.timeout(SWEEP_S):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _begin(self, claim: Claim, sent_at: float) -> None:
        logger.info("answer %s claimed fence=%d", claim.answer_id, claim.fence)
        old = self._generations.get(claim.answer_id)
        if old is not None:
            old.stop("lost")  # our own lease ran out, and we are the one who takes it over
        generation = Generation(claim, self._client, self._patience, sent_at)
        self._generations[claim.answer_id] = generation
        self._start(self._run_one(generation))

    async def _run_one(self, generation: Generation) -> None:
        answer_id = generation.claim.answer_id
        try:
            await generation.run()
        finally:
            if self._generations.get(answer_id) is generation:
                del self._generations[answer_id]
            self._wake.set()  # a slot is free, and a queued next message may be waiting for this one

    async def _renew(self) -> None:
        running = list(self._generations.values())
        if not running:
            return
        sent_at = time.monotonic()
        held = await in_thread(renew, [generation.claim for generation in running])
        for generation in running:
            is_cancelled = held.get(generation.claim.answer_id)
            if is_cancelled is None:
                generation.stop("lost")
                continue
            generation.renewed(sent_at)
            if is_cancelled:
                generation.stop("cancel")

    async def _save(self) -> None:
        for generation in list(self._generations.values()):
            await generation.save()

    async def _sweep(self) -> None:
        await in_thread(emit_lost_events)
        if len(self._generations) >= self._concurrency:
            await in_thread(tell_places)

    async def _listen(self) -> None:
        """The bell of new questions and of cancelling; what it misses is found by renewing and by the sweep."""
        async with valkey().pubsub() as bell:
            await bell.subscribe(RUNNER_CHANNEL)
            self._wake.set()
            while True:
                message = await bell.get_message(ignore_subscribe_messages=True, timeout=1.0)
                if message is not None:
                    await self._ring(bytes(message["data"]))

    async def _ring(self, word: bytes) -> None:
        if not word.startswith(b"cancel"):
            self._wake.set()
            return
        for answer_id in await in_thread(cancelled_among, list(self._generations)):
            if answer_id in self._generations:
                self._generations[answer_id].stop("cancel")

    async def _release_all(self) -> None:
        for generation in self._generations.values():
            generation.stop("release")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def prepare_site() -> None:
    """The row of our own worker, as soon as the database is there."""
    while True:
        try:
            await in_thread(ensure_local_endpoint)
            return
        except DATABASE_AWAY as error:
            logger.warning("runner waits for the database: %s", type(error).__name__)
            await asyncio.sleep(0.5)
