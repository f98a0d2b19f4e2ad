"""Server-sent events, and noticing at once that the client has gone. Knows nothing of what the events say."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from inference.server.errors import ApiError, internal_error

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Proxies and clients drop a silent connection after 10 s or more, so a request in the queue is heard of before.
KEEP_ALIVE_S = 5.0

# A client that does not read what it asked for holds a place that others wait for; a slow line takes a piece in time.
STALLED_S = 60.0

DONE = b"data: [DONE]\n\n"


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n\n"


def keep_alive(queue_position: int | None) -> bytes:
    """A comment, which clients leave out; who looks at the wire sees how far the queue has come."""
    return b": keep-alive\n\n" if queue_position is None else b": keep-alive queue_position=%d\n\n" % queue_position


class EventStream:
    """An ASGI response. The generator is closed the moment the client goes, not at the next thing to say.

    It begins with the first event (a keep-alive at the latest): what fails before has a status of its own.
    """

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pump = asyncio.create_task(self._pump(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()
        except TimeoutError:
            logger.info("a client has stopped reading")
        finally:
            await _cancel(gone)
            await _cancel(pump)

    async def _pump(self, send_whenever: Send) -> None:
        async def send(message: Message) -> None:
            async with asyncio.timeout(STALLED_S):
                await send_whenever(message)

        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        async with aclosing(self._events) as events:
            chunk = await anext(events)
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            try:
                async for chunk in events:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except ApiError as error:
                await self._end(send, event(error.body()))
            except OSError:  # nobody is there to be told
                raise
            except Exception:  # a mistake of our own: the reader is told, the log has it
                await self._end(send, event(internal_error().body()))
                raise
            else:
                await self._end(send)

    async def _end(self, send: Send, last: bytes = b"") -> None:
        await send({"type": "http.response.body", "body": last, "more_body": False})


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes. Raises ClientDisconnect then."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect()
    finally:
        await _cancel(gone)
        await _cancel(task)


async def with_keep_alive(items: AsyncGenerator[T, None]) -> AsyncGenerator[T | None, None]:
    """The items, and a None whenever nothing has come for KEEP_ALIVE_S."""
    async with aclosing(items):
        while True:
            upcoming = asyncio.ensure_future(anext(items))
            try:
                while not (await asyncio.wait({upcoming}, timeout=KEEP_ALIVE_S))[0]:
                    yield None
                item = upcoming.result()
            except StopAsyncIteration:
                return
            finally:
                await _cancel(upcoming)
            yield item


async def merge(streams: list[AsyncGenerator[T, None]]) -> AsyncGenerator[tuple[int, T], None]:
    """What any of the streams gives, as it comes, with the stream's number. The first error ends all of them."""
    upcoming = {asyncio.ensure_future(anext(stream)): i for i, stream in enumerate(streams)}
    try:
        while upcoming:
            done, _ = await asyncio.wait(upcoming, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=upcoming.__getitem__):
                index = upcoming.pop(task)
                try:
                    item = task.result()
                except StopAsyncIteration:
                    continue
                upcoming[asyncio.ensure_future(anext(streams[index]))] = index
                yield index, item
    finally:
        for task in list(upcoming):
            await _cancel(task)
        for stream in streams:
            await stream.aclose()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(task: asyncio.Future[Any]) -> None:
    if not task.done():
        task.cancel()
    with suppress(asyncio.CancelledError, StopAsyncIteration, ApiError, OSError):
        await task
