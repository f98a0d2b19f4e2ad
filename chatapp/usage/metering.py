"""A model's stream with its meter on: whatever ends it, what it took is in the rows before anybody goes on."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import InterfaceError, OperationalError

from chatapp.context.counting import Counter
from chatapp.endpoints.deltas import Completed, Delta, Usage
from chatapp.endpoints.faults import RateLimited, Rejected, Unreachable
from chatapp.endpoints.models import Endpoint
from chatapp.threads import in_thread
from chatapp.usage import recording

logger = logging.getLogger(__name__)

Piece = Delta | Completed


@dataclass(slots=True)
class _Meter:
    text: str = ""
    num_ids: int = 0
    usage: Usage | None = None
    is_taken: bool = True

    async def counted(self, source: AsyncGenerator[Piece]) -> AsyncGenerator[Piece]:
        try:
            async with aclosing(source):
                async for piece in source:
                    if isinstance(piece, Completed):
                        self.usage = piece.usage
                    else:
                        self.text, self.num_ids = self.text + piece.text, self.num_ids + len(piece.token_ids)
                    yield piece
        except (Unreachable, RateLimited, Rejected):
            self.is_taken = bool(self.text)
            raise


@asynccontextmanager
async def metered(
    source: AsyncGenerator[Piece], spending_id: UUID, endpoint: Endpoint, counter: Counter
) -> AsyncIterator[AsyncGenerator[Piece]]:
    """The same pieces. `spending_id` was begun; with the block it ends: as reported, by our count, or not taken at all.

    The end is the block's and not the stream's, which others cancel as soon as they have heard enough.
    """
    meter = _Meter()
    try:
        yield meter.counted(source)
    finally:
        try:
            if meter.is_taken:
                output_tokens = meter.num_ids or counter.count(meter.text)
                await in_thread(recording.end, spending_id, endpoint, meter.usage, output_tokens)
            else:
                await in_thread(recording.forget, spending_id)
        except (OperationalError, InterfaceError) as error:  # the row stays, with the estimate it began with
            logger.warning("spending %s not ended: %s", spending_id, type(error).__name__)
