"""How tasks of an event loop are ended so that they really end."""

import asyncio
from typing import Any

# On Python 3.11 asyncio.wait_for swallows a cancellation that arrives together with its result, and redis-py sends
# every command through it: 1 cancelled runner in 25 went on for ever on a busy machine. So it is asked again.
_AGAIN_S = 0.2


async def end_tasks(*tasks: asyncio.Future[Any]) -> None:
    """Cancels the tasks and returns when all have ended; their errors are left in them, and count as seen."""
    pending: set[asyncio.Future[Any]] = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
