"""The processes beside the first: started, watched and ended by rank 0, which leads them from call to call.

They hold no sequences and take no decisions; each computes its share of every call of the model. None outlives the
first, however that one ends.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, NoReturn, Self, TypeVar

from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.engine import ModelLost
from inference.model import Model
from inference.parallel import ALONE, Call, Ranks, join

logger = logging.getLogger(__name__)

# After a loss, to tell the readers and end in order. A CUDA collective would wait for the lost one forever.
END_S = 10.0

Settings = TypeVar("Settings")
Join = Callable[[], Ranks]


class LeadingModel:
    """Rank 0's model as its engine sees it: all ranks compute each call. Batches are wanted on the CPU, from where
    they are sent; on a card each would have to be waited for."""

    def __init__(self, model: Model, ranks: Ranks) -> None:
        self._model, self._ranks = model, ranks
        self._is_lost = False

    @property
    def can_draft(self) -> bool:
        return self._model.can_draft

    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        return self._lead("forward", batch, cache)

    def draft(self, batch: Batch, cache: PagedCache) -> Tensor:
        return self._lead("draft", batch, cache)

    def _lead(self, call: Call, batch: Batch, cache: PagedCache) -> Tensor:
        """ModelLost on any error, and ever after: the others are somewhere else in the model then."""
        if self._is_lost:
            raise ModelLost(f"{self._ranks.size} processes have lost each other")
        try:
            self._ranks.send(call, batch)
            return _compute(self._model, call, batch.to(self._model.device), cache)
        except Exception as error:
            self._is_lost = True
            raise ModelLost(f"{self._ranks.size} processes lost each other: {error}") from error


def follow(model: Model, cache: PagedCache, ranks: Ranks) -> NoReturn:
    """What every other rank does for the rest of its life."""
    while True:
        _compute(model, *ranks.receive(model.device), cache)


def _compute(model: Model, call: Call, batch: Batch, cache: PagedCache) -> Tensor:
    return model.forward(batch, cache) if call == "forward" else model.draft(batch, cache)


class Followers(Generic[Settings]):
    """Ranks 1 and up. Use as a context manager: when it ends, so do they. With `size` 1 there are none."""

    def __init__(self, work: Callable[[Settings, Join], None], settings: Settings, size: int, device: str) -> None:
        """`work` is a function of a module: it runs in each process, with a way to join the others."""
        self.loss: str | None = None  # says which process was lost
        self._size, self._device = size, device
        self._is_ending = False
        self._processes: list[SpawnProcess] = []
        if size == 1:
            return
        self._directory = TemporaryDirectory(prefix="sonde-ranks-")
        context = multiprocessing.get_context("spawn")
        for rank in range(1, size):
            arguments = (work, settings, self._join(rank), self._directory.name)
            self._processes.append(context.Process(target=_run, args=arguments))

    def __enter__(self) -> Self:
        for rank, process in enumerate(self._processes, start=1):
            process.start()
            logger.info("process %d of %d has pid %d", rank, self._size, process.pid)
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_ending = True
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        if self._size > 1:
            self._directory.cleanup()

    def join(self) -> Ranks:
        """Rank 0 comes to the others."""
        return self._join(0)() if self._size > 1 else ALONE

    def watch(self, tell: Callable[[], object]) -> None:
        """`tell` is called, in another thread, when one of them ends by itself; a while later this process ends."""
        if self._processes:
            threading.Thread(target=self._watch, args=(tell,), name="watch", daemon=True).start()

    def _join(self, rank: int) -> Join:
        return partial(join, Path(self._directory.name), rank, self._size, self._device)

    def _watch(self, tell: Callable[[], object]) -> None:
        ended = wait([process.sentinel for process in self._processes])
        if self._is_ending:
            return
        for rank, process in enumerate(self._processes, start=1):
            if process.sentinel in ended:
                process.join()
                self.loss = f"process {rank} of {self._size} ended with status {process.exitcode}"
        logger.error("%s", self.loss)
        tell()
        time.sleep(END_S)
        os._exit(1)


def _run(work: Callable[[Settings, Join], None], settings: Settings, join: Join, directory: str) -> None:
    """A signal to the whole group is for rank 0, which lets running requests finish."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(directory,), name="parent", daemon=True).start()
    work(settings, join)


def _end_with_parent(directory: str) -> None:
    """A parent that was killed has cleaned nothing up."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(1)
