"""A model's stream with its meter on: whatever ends it, what it took is in the rows."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from django.db import InterfaceError, OperationalError

from chatapp.context.counting import Counter
from chatapp.endpoints.deltas import Completed, Delta
from chatapp.endpoints.faults import RateLimited, Rejected, Unreachable
from chatapp.endpoints.models import Endpoint
from chatapp.threads import in_thread
from chatapp.usage import recording

logger = logging.getLogger(__name__)

Piece = Delta | Completed


async def metered(
    source: AsyncGenerator[Piece], spending_id: UUID, endpoint: Endpoint, counter: Counter
) -> AsyncGenerator[Piece]:
    """The same pieces. `spending_id` was begun; here it ends: as reported, by our count, or not taken at all."""
    text, num_ids = "", 0
    completed: Completed | None = None
    is_taken = True
    try:
        async with aclosing(source):
            async for piece in source:
                if isinstance(piece, Completed):
                    completed = piece
                else:
                    text, num_ids = text + piece.text, num_ids + len(piece.token_ids)
                yield piece
    except (Unreachable, RateLimited, Rejected):
        is_taken = bool(text)
        raise
    finally:
        usage = completed.usage if completed else None
        try:
            if is_taken:
                await in_thread(recording.end, spending_id, endpoint, usage, num_ids or counter.count(text))
            else:
                await in_thread(recording.forget, spending_id)
        except (OperationalError, InterfaceError) as error:  # the row stays, with the estimate it began with
            logger.warning("spending %s not ended: %s", spending_id, type(error).__name__)
