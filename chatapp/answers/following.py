"""One conversation as one socket follows it: reads the log from where the browser is, and forwards in order.

Reads on demand, a batch at a time, and only after the browser has taken the last one: a slow browser costs a batch,
not memory. It looks when its bell rings; whoever owns it rings at least every few seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from chatapp.answers.events import Position, Wire
from chatapp.answers.log import LOST, EventLog
from chatapp.answers.replies import event_frame
from chatapp.errors import Unavailable

BATCH = 100  # events in flight to one reader

# A service of ours is away for a moment: wait, look again, lose nothing.
AWAY = (RedisError, OperationalError, InterfaceError, Unavailable)


class Following:
    """`take_snapshot` returns the frame and its place in the log; its NotFound leaves run(): the right has ended."""

    def __init__(
        self,
        conversation_id: UUID,
        after: Position | None,
        take_snapshot: Callable[[UUID], Awaitable[tuple[Wire, Position]]],
        send: Callable[[Wire], Awaitable[None]],
        report_away: Callable[[UUID], Awaitable[None]],
    ) -> None:
        self._conversation_id = conversation_id
        self._position = after
        self._take_snapshot = take_snapshot
        self._send = send
        self._report_away = report_away
        self._log = EventLog()
        self._bell = asyncio.Event()
        self._is_over = False

    def ring(self) -> None:
        self._bell.set()

    def end(self) -> None:
        """Nothing more is forwarded. Not left to cancelling alone: redis-py may swallow it (see chatapp/ending.py)."""
        self._is_over = True
        self.ring()

    async def run(self) -> None:
        """Until its end. Says once that a service is away, not at every look."""
        is_away = False
        while not self._is_over:
            self._bell.clear()  # before reading: what is added meanwhile rings for another look
            try:
                await self._forward()
                is_away = False
            except AWAY:
                if not is_away:
                    await self._report_away(self._conversation_id)
                is_away = True
            await self._bell.wait()

    async def _forward(self) -> None:
        while not self._is_over:
            if self._position is None:
                frame, position = await self._take_snapshot(self._conversation_id)
                if self._is_over:
                    return
                await self._send(frame)
                self._position = position
            entries = await self._log.read_after(self._conversation_id, self._position, BATCH)
            if entries is LOST:
                self._position = None
                continue
            for position, event in entries:
                if self._is_over:
                    return
                await self._send(event_frame(self._conversation_id, position, event))
                self._position = position
            if len(entries) < BATCH:
                return
