"""The asyncio front of the engine: `async for delta in engine.generate(request)`.

The engine runs in a thread of its own; requests and aborts reach it through one queue, deltas come back through the
event loop. Closing the iterator, at any moment, frees the sequence and its blocks before the next step.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterable

from inference.engine import Delta, Engine
from inference.sequence import GenerationRequest

logger = logging.getLogger(__name__)


class EngineStopped(RuntimeError):
    """The engine takes no more requests: it is shutting down."""


class AsyncEngine:
    def __init__(self, engine: Engine, on_death: Callable[[], None] = lambda: None) -> None:
        """`on_death` is called in the event loop when the engine's thread ends by an error of our own."""
        self.engine = engine
        self._on_death = on_death
        self._commands: queue.SimpleQueue[Callable[[], list[Delta]] | None] = queue.SimpleQueue()
        self._streams: dict[str, asyncio.Queue[Delta | None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._stopping = False

    def start(self) -> None:
        """Called in the event loop that will read the deltas."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Cancels what still runs, tells its readers and ends the thread."""
        if self._stopping or not self._thread.is_alive():
            return
        self._stopping = True
        self._commands.put(self.engine.abort_all)
        self._commands.put(None)
        await asyncio.to_thread(self._thread.join)

    def cancel_all(self) -> None:
        """Every running request ends with finish_reason "cancelled"; the engine goes on."""
        self._commands.put(self.engine.abort_all)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def queue_position(self, request_id: str) -> int | None:
        """1 for the next to be given a place; None when it has one, or has not reached the queue yet."""
        return self.engine.scheduler.queue_position(request_id)

    @property
    def num_requests(self) -> int:
        return len(self._streams)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Delta, None]:
        """Deltas of every choice, until each has had its last one."""
        if self._stopping:
            raise EngineStopped("the engine is stopping")
        stream = self._streams[request.id] = asyncio.Queue()
        unfinished = request.num_choices
        self._commands.put(lambda: self.engine.add(request))
        try:
            while unfinished > 0:
                delta = await stream.get()
                if delta is None:
                    raise EngineStopped("the engine died")
                unfinished -= delta.finish_reason is not None
                yield delta
        finally:
            del self._streams[request.id]
            if unfinished > 0:
                self._commands.put(lambda: self.engine.abort(request.id))

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            logger.exception("the engine thread died")
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._die)

    def _die(self) -> None:
        """Every reader is told; nothing is accepted any more."""
        self._stopping = True
        for stream in self._streams.values():
            stream.put_nowait(None)
        self._on_death()

    def _serve(self) -> None:
        while True:
            command_deltas, stop = self._take_commands()
            self._publish(command_deltas)
            if stop:
                return
            if self.engine.has_work:
                self._publish(self.engine.step())

    def _take_commands(self) -> tuple[list[Delta], bool]:
        """Everything that was asked since the last step; sleeps while there is nothing to do."""
        deltas: list[Delta] = []
        wait = not self.engine.has_work
        if wait and self._commands.empty():
            self.engine.check_integrity()
        while wait or not self._commands.empty():
            command = self._commands.get()
            wait = False
            if command is None:
                return deltas, True
            deltas += command()
        return deltas, False

    def _publish(self, deltas: Iterable[Delta]) -> None:
        """One wake-up of the event loop a step, however many sequences it had."""
        deltas = list(deltas)
        if not deltas:
            return
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._deliver, deltas)
        except RuntimeError:  # the loop is closed: nobody reads any more
            logger.warning("%d deltas had no reader left", len(deltas))

    def _deliver(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            stream = self._streams.get(delta.request_id)
            if stream is not None:
                stream.put_nowait(delta)
