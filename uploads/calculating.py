"""One claimed computation from the bytes of its file to its end, by the fenced child."""

import logging
import time
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from uploads import computations, parsing, storage
from uploads.computing.answer import Refusal
from uploads.computing.asking import read_tables, run_query
from uploads.computing.codec import Answer
from uploads.document import Limits, Source
from uploads.fence import ReadingCancelled
from uploads.models import Computation

logger = logging.getLogger(__name__)

LOOKED_EVERY_S = 0.5
LOST = Refusal("unreadable", "The file cannot be read.")


@dataclass
class Watch:
    """Asked by the fence four times a second whether anybody still wants the answer."""

    computation_id: UUID
    _looked_at: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        if parsing.stopping.is_set():
            return True
        if time.monotonic() - self._looked_at < LOOKED_EVERY_S:
            return False
        self._looked_at = time.monotonic()
        return not computations.is_running(self.computation_id)


def answer_claimed(computation: Computation) -> None:
    """Ends it, whatever the query does."""
    began = time.monotonic()
    try:
        answer = _answer(computation)
    except FileNotFoundError:
        logger.warning("computation %s: its file has lost its bytes", computation.pk)
        answer = LOST
    except ReadingCancelled:
        computations.release(computation.pk)  # of no effect where it was cancelled
        logger.info("computation %s given up", computation.pk)
        return
    computations.end(computation.pk, answer)
    logger.info("computation %s %s %.2fs", computation.pk, type(answer).__name__.lower(), time.monotonic() - began)


def _answer(computation: Computation) -> Answer:
    """Raises FileNotFoundError, ReadingCancelled."""
    reading, watch = computation.reading, Watch(computation.pk)
    limits = Limits(max_pages=settings.UPLOADS.max_pages)
    with storage.local_copy(reading.blob_id) as path:
        source = Source(path, reading.media_type, reading.name, limits)
        if not computation.sql:
            return read_tables(source, is_cancelled=watch.is_over)
        return run_query(source, computation.sql, is_cancelled=watch.is_over)
