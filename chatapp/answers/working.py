"""The loops of a runner: claims rows, runs each as a task, renews their leases, saves them, and sweeps.

Several may run side by side; the rows decide who writes. Knows no kind of row: `Work` does.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from redis.exceptions import RedisError

from chatapp.answers.claims import RENEW_S
from chatapp.answers.held import DATABASE_AWAY, StopReason
from chatapp.answers.snapshots import SNAPSHOT_S
from chatapp.answers.sweep import SWEEP_S
from chatapp.answers.valkey import client as valkey
from chatapp.ending import end_tasks
from chatapp.endpoints.client import EndpointClient
from chatapp.threads import in_thread

logger = logging.getLogger(__name__)

STOP_S = 8.0  # to save and release on SIGTERM; supervisors kill after ten


class Run(Protocol):
    """One claimed row on its way to its end."""

    @property
    def id(self) -> UUID: ...

    @property
    def is_overdue(self) -> bool: ...

    async def run(self) -> None: ...

    async def save(self) -> None: ...

    def stop(self, reason: StopReason) -> None: ...

    def renewed(self, sent_at: float) -> None: ...


R = TypeVar("R", bound=Run)


class Work(Protocol[R]):
    """One kind of row that is claimed. All of it blocks, and is called in threads, but for `begin`s."""

    channel: str  # of the bell in Valkey: "queued <id>" or "cancel <id>"

    def claim(self, limit: int) -> Sequence[Callable[[EndpointClient, float], R]]:
        """What begins each of the claimed rows, given the client and when they were claimed on this clock."""

    def renew(self, runs: Sequence[R]) -> dict[UUID, bool]:
        """Those still held, each with whether its cancelling was asked for."""

    def cancelled_among(self, ids: Collection[UUID]) -> set[UUID]: ...

    def sweep(self, *, is_full: bool) -> None:
        """What a crash has left. `is_full`: what is queued now waits for a runner."""


class WorkRunner(Generic[R]):
    def __init__(self, work: Work[R], concurrency: int) -> None:
        self._work = work
        self._concurrency = concurrency
        self._runs: dict[UUID, R] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._client: EndpointClient

    def stop(self) -> None:
        """Saves and releases what is running, then `run` returns."""
        self._stopping.set()

    async def run(self) -> None:
        name = type(self._work).__name__
        logger.info("runner started work=%s concurrency=%d", name, self._concurrency)
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
        logger.info("runner stopped work=%s", name)
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
        """Takes what is free, then sleeps until the bell, an end or the sweep's time."""
        self._wake.clear()
        if any(run.is_overdue for run in self._runs.values()):
            await self._renew()  # after an outage: what is still ours goes on, it is not taken over
        free = self._concurrency - len(self._runs)
        if free > 0 and not self._stopping.is_set():
            sent_at = time.monotonic()
            for begin in await in_thread(self._work.claim, free):
                self._begin(begin(self._client, sent_at))
        try:
            async with asyncio.timeout(SWEEP_S):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _begin(self, run: R) -> None:
        old = self._runs.get(run.id)
        if old is not None:
            old.stop("lost")  # our own lease ran out, and we are the one who takes it over
        self._runs[run.id] = run
        self._start(self._run_one(run))

    async def _run_one(self, run: R) -> None:
        try:
            await run.run()
        finally:
            if self._runs.get(run.id) is run:
                del self._runs[run.id]
            self._wake.set()  # a slot is free, and a queued next message may be waiting for this one

    async def _renew(self) -> None:
        running = list(self._runs.values())
        if not running:
            return
        sent_at = time.monotonic()
        held = await in_thread(self._work.renew, running)
        for run in running:
            is_cancelled = held.get(run.id)
            if is_cancelled is None:
                run.stop("lost")
                continue
            run.renewed(sent_at)
            if is_cancelled:
                run.stop("cancel")

    async def _save(self) -> None:
        for run in list(self._runs.values()):
            await run.save()

    async def _sweep(self) -> None:
        await in_thread(self._work.sweep, is_full=len(self._runs) >= self._concurrency)

    async def _listen(self) -> None:
        """The bell of what is queued and of cancelling; what it misses is found by renewing and by the sweep."""
        async with valkey().pubsub() as bell:
            await bell.subscribe(self._work.channel)
            self._wake.set()
            while True:
                message = await bell.get_message(ignore_subscribe_messages=True, timeout=1.0)
                if message is not None:
                    await self._ring(bytes(message["data"]))

    async def _ring(self, word: bytes) -> None:
        if not word.startswith(b"cancel"):
            self._wake.set()
            return
        for id in await in_thread(self._work.cancelled_among, list(self._runs)):
            if id in self._runs:
                self._runs[id].stop("cancel")

    async def _release_all(self) -> None:
        for run in self._runs.values():
            run.stop("release")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
