"""Joins small deltas into larger ones for some milliseconds. Knows nothing but time and deltas."""

import asyncio
from collections.abc import AsyncGenerator

from chatapp.ending import end_tasks
from chatapp.endpoints.deltas import Completed, Delta

JOIN_S = 0.05  # within 30 to 80 ms: under 20 events a second, and still faster than an eye follows

Piece = Delta | Completed


async def joined(source: AsyncGenerator[Piece], stop: asyncio.Event, join_s: float = JOIN_S) -> AsyncGenerator[Piece]:
    """The same pieces with neighbours of one part joined. Ends early, source closed, as soon as `stop` is set.

    Whatever the source does (ends, raises), all that it has said before is yielded first.
    """
    clock = asyncio.get_running_loop().time
    stopped = asyncio.ensure_future(stop.wait())
    upcoming: asyncio.Task[Piece] = _next(source)
    waiting: Delta | None = None
    due: float | None = None
    try:
        while not stop.is_set():
            timeout = None if due is None else max(0.0, due - clock())
            await asyncio.wait({upcoming, stopped}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            piece: Piece | None = None
            if upcoming.done() and not upcoming.exception():
                piece = upcoming.result()
                upcoming = _next(source)
            if isinstance(piece, Delta) and (waiting is None or waiting.part == piece.part):
                due = due or clock() + join_s
                waiting = _join(waiting, piece)
                if clock() < due:
                    continue
                piece = None
            if waiting is not None:
                yield waiting
                waiting, due = None, None
            if isinstance(piece, Delta):
                waiting, due = piece, clock() + join_s
            elif piece is not None:
                yield piece
                return
            elif upcoming.done() and (error := upcoming.exception()):
                if isinstance(error, StopAsyncIteration):
                    return
                raise error
        if waiting is not None:
            yield waiting
    finally:
        await end_tasks(upcoming, stopped)
        await source.aclose()


def _next(source: AsyncGenerator[Piece]) -> asyncio.Task[Piece]:
    async def step() -> Piece:
        return await anext(source)

    return asyncio.create_task(step())


def _join(first: Delta | None, second: Delta) -> Delta:
    if first is None:
        return second
    return Delta(first.part, first.text + second.text, first.token_ids + second.token_ids)
