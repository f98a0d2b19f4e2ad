"""A lease that one runner holds, and being stopped. All waiting is cooperative: `stop` cuts no write in half.

Knows neither what is held nor its rows.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Literal, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from chatapp.answers.claims import LEASE_S

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
StopReason = Literal["cancel", "release", "lost"]

DATABASE_AWAY = (OperationalError, InterfaceError)


class Stopped(Exception):
    """`stop` was set while waiting."""


class Held:
    """`lease_until` is on this process's clock, counted from before the renewal. `name` is for the log."""

    def __init__(self, name: str, claimed_at: float) -> None:
        self.name = name
        self.lease_until = claimed_at + LEASE_S
        self.stopping = asyncio.Event()
        self.stop_reason: StopReason | None = None

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

    async def patiently(self, call: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """The call, repeated while a service of ours is away and only under a lease. Raises Stopped."""
        is_away = False
        while True:
            await self._under_lease()
            try:
                return await call(*args, **kwargs)
            except (RedisError, *DATABASE_AWAY) as error:
                if not is_away:
                    logger.warning("%s waits: %s", self.name, type(error).__name__)
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
