"""An HTTP response that waits for a call: as a stream, or whole. A program that goes away has called it off.

Nothing is sent until the first word or the end is there, so that what fails at once fails with its own status. After
that proxies and clients are kept awake, as DeepSeek does it: by comments in a stream, by blank lines before a whole.
"""

import asyncio
import json
from collections.abc import AsyncGenerator

from django.http import JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from chatapp.ending import end_tasks
from chatapp.programs.calling import ask
from chatapp.programs.errors import ApiError
from chatapp.programs.following import Words, follow
from chatapp.programs.models import ApiKey
from chatapp.programs.replies import BLANK, KEEP_ALIVE, Reply, error_event, reply_to
from chatapp.programs.request import Asking, Delivery
from chatapp.programs.result import Result
from chatapp.threads import in_thread

STREAM_BEGINS_S = 10.0  # at the latest
WHOLE_BEGINS_S = 45.0  # proxies wait for a minute; from here on an error can only be told in the body
ALIVE_EVERY_S = 10.0

Piece = Words | Result


async def answer(key: ApiKey, kind: str, asking: Asking, delivery: Delivery) -> HttpResponseBase:
    """Raises ApiError."""
    call = await in_thread(ask, key, kind, asking, delivery)
    reply = reply_to(call, with_usage=delivery.with_usage)
    pieces = Pieces(follow(call.pk))
    try:
        if delivery.is_stream:
            await pieces.wait(STREAM_BEGINS_S)
            response = StreamingHttpResponse(_stream(reply, pieces), content_type="text/event-stream; charset=utf-8")
            response.headers["X-Accel-Buffering"] = "no"
            return response
        result = await _whole(pieces, WHOLE_BEGINS_S)
        if result is not None:
            return JsonResponse(reply.whole(result))
    except BaseException:
        await pieces.close()
        raise
    return StreamingHttpResponse(_slowly(reply, pieces), content_type="application/json")


class Pieces:
    """An iterator that can be waited on for some time without being cut off."""

    def __init__(self, source: AsyncGenerator[Piece]) -> None:
        self._source = source
        self._upcoming: asyncio.Task[Piece] | None = None

    async def wait(self, seconds: float) -> bool:
        """Whether the next piece is there. Raises what the source raises."""
        if self._upcoming is None:
            self._upcoming = asyncio.create_task(self._step())
        await asyncio.wait({self._upcoming}, timeout=seconds)
        if self._upcoming.done() and (error := self._upcoming.exception()):
            raise error
        return self._upcoming.done()

    def take(self) -> Piece:
        assert self._upcoming is not None and self._upcoming.done(), "wait for it first"
        upcoming, self._upcoming = self._upcoming, None
        return upcoming.result()

    async def close(self) -> None:
        """What is still under way is called off."""
        if self._upcoming is not None:
            await end_tasks(self._upcoming)
        await self._source.aclose()

    async def _step(self) -> Piece:
        return await anext(self._source)


async def _stream(reply: Reply, pieces: Pieces) -> AsyncGenerator[bytes]:
    try:
        for chunk in reply.begin():
            yield chunk
        while True:
            if not await pieces.wait(ALIVE_EVERY_S):
                yield KEEP_ALIVE
                continue
            piece = pieces.take()
            if isinstance(piece, Result):
                for chunk in reply.end(piece):
                    yield chunk
                return
            yield reply.words(piece.part, piece.text)
    except ApiError as error:
        yield error_event(error.to_wire())
    finally:
        await pieces.close()


async def _whole(pieces: Pieces, seconds: float) -> Result | None:
    """None: not within this time."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while await pieces.wait(max(0.0, until - clock())):
        piece = pieces.take()
        if isinstance(piece, Result):
            await pieces.close()
            return piece
    return None


async def _slowly(reply: Reply, pieces: Pieces) -> AsyncGenerator[bytes]:
    try:
        yield BLANK
        while (result := await _whole(pieces, ALIVE_EVERY_S)) is None:
            yield BLANK
        yield json.dumps(reply.whole(result), ensure_ascii=False).encode()
    except ApiError as error:
        yield json.dumps(error.to_wire(), ensure_ascii=False).encode()
    finally:
        await pieces.close()
