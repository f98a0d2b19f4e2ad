"""One claimed answer in one runner: its lease, being stopped, and what its readers have been shown.

What every step of an answer stands on. Text is taken into `progress` first, then logged, and saved at least every two
seconds. All waiting is cooperative: `stop` ends it, so that no append is ever cut in half. Knows no model.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Literal, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from chatapp.answers.claims import LEASE_S, Claim
from chatapp.answers.events import Event, Notice, Wire
from chatapp.answers.log import EventLog
from chatapp.answers.progress import Progress
from chatapp.answers.snapshots import save_snapshot
from chatapp.threads import in_thread

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
StopReason = Literal["cancel", "release", "lost"]

DATABASE_AWAY = (OperationalError, InterfaceError)


class Stopped(Exception):
    """`stop` was set while waiting."""


class Claimed:
    """`lease_until` is on this process's clock, counted from before the renewal. `progress` comes with the rows."""

    def __init__(self, claim: Claim, claimed_at: float) -> None:
        self.claim = claim
        self.lease_until = claimed_at + LEASE_S
        self.log = EventLog()
        self.stopping = asyncio.Event()
        self.stop_reason: StopReason | None = None
        self.progress: Progress | None = None
        self._saving = asyncio.Lock()
        self._saved_version = 0

    def stop(self, reason: StopReason) -> None:
        """The first reason holds, except that a lost answer is nobody's to end."""
        if self.stop_reason is None or reason == "lost":
            self.stop_reason = reason
        self.stopping.set()

    def renewed(self, sent_at: float) -> None:
        self.lease_until = sent_at + LEASE_S

    @property
    def is_overdue(self) -> bool:
        """Whether the lease may have run out on the database's clock."""
        return time.monotonic() >= self.lease_until - LEASE_S / 2

    async def save(self) -> None:
        """A snapshot, where something has changed since the last one. Raises OperationalError, InterfaceError."""
        progress = self.progress
        async with self._saving:
            if progress is None or progress.version == self._saved_version:
                return
            copy = progress.copy()
            if await in_thread(save_snapshot, self.claim, copy):
                self._saved_version = copy.version
            else:
                self.stop("lost")

    async def notice(self, code: str, params: Wire) -> None:
        assert self.progress is not None
        notice = Notice(self.claim.answer_id, self.claim.message_id, code, params)
        self.progress.note(notice)
        await self.patiently(self.save)  # readers fetch the message when they hear of it
        await self.append(notice)

    async def tell(self, code: str, params: Wire) -> None:
        """A notice of what stands in other rows already; it is kept with the next snapshot."""
        assert self.progress is not None
        notice = Notice(self.claim.answer_id, self.claim.message_id, code, params)
        self.progress.note(notice)
        await self.append(notice)

    async def notice_if_new(self, code: str, params: Wire) -> None:
        assert self.progress is not None
        if {"code": code, "params": params} not in self.progress.notices:
            await self.notice(code, params)

    async def append(self, event: Event) -> None:
        """Logs the event, waiting out a lost Valkey. A new epoch has lost the log: the rows are made whole at once."""
        assert self.progress is not None
        claim, before = self.claim, self.progress.position
        position = await self.patiently(
            self.log.append, claim.conversation_id, event, answer_id=claim.answer_id, fence=claim.fence
        )
        self.progress.position = position
        if before is None or position.epoch != before.epoch:
            self.progress.version += 1
            await self.patiently(self.save)

    async def patiently(self, call: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """The call, repeated while a service of ours is away and only under a lease. Raises Stopped."""
        is_away = False
        while True:
            await self._under_lease()
            try:
                return await call(*args, **kwargs)
            except (RedisError, *DATABASE_AWAY) as error:
                if not is_away:
                    logger.warning("answer %s waits: %s", self.claim.answer_id, type(error).__name__)
                is_away = True
                await self.pause(0.3)

    async def pause(self, seconds: float) -> None:
        """Raises Stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return
        raise Stopped

    async def _under_lease(self) -> None:
        """Another runner may hold the answer once the lease has run out: nothing is written until it is renewed."""
        while time.monotonic() >= self.lease_until:
            await self.pause(0.1)
