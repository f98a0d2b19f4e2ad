"""One claimed reading from its bytes to its end: events of the fenced child become rows, as they come."""

import logging
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field

from django.conf import settings

from uploads import readings, storage
from uploads.document import Block as Found
from uploads.document import Event, Limits, Progress, Source, Started, Unparsable, Unreadable
from uploads.fence import FenceLimits, ReadingCancelled, read_file
from uploads.models import Block, Reading
from uploads.readings import Advance, Claim

logger = logging.getLogger(__name__)

TOLD_EVERY_S = 0.5  # how often a chip hears of progress
LOOKED_EVERY_S = 2.0  # how soon the child of a cancelled file is killed; several of these may fail within a lease
MAX_BATCH = 500  # blocks held in memory; a row of a large table is one

stopping = threading.Event()  # this worker has been asked to end


class Lost(Exception):
    """The reading was cancelled, removed or taken over: nothing more is to be written."""


@dataclass
class Recorder:
    """Collects what the child says and saves it in steps, always under the claim."""

    claim: Claim
    unit: str = ""
    total: int = 0
    done: int = 0
    characters: int = 0
    num_blocks: int = 0
    unreadable: list[dict[str, int | str]] = field(default_factory=list)
    _blocks: list[Block] = field(default_factory=list)
    _is_told: bool = False
    _saved_at: float = field(default_factory=time.monotonic)

    def record(self, event: Event) -> None:
        """Raises Lost."""
        self._is_told = False
        match event:
            case Started(unit, total):
                self.unit, self.total = unit, total
            case Found():
                self._add(event)
            case Progress(done):
                self.done = done
            case Unreadable(number, fault):
                self.unreadable.append({"number": number, "code": fault})
        if len(self._blocks) >= MAX_BATCH:
            self._save()

    def is_over(self) -> bool:
        """Asked by the fence four times a second, whether the child speaks or not: saves what is due, and looks."""
        waited_s = time.monotonic() - self._saved_at
        if waited_s >= (LOOKED_EVERY_S if self._is_told else TOLD_EVERY_S):
            self._save()
        return stopping.is_set()

    def end(self, code: str) -> None:
        """Nothing where the claim is lost: then somebody else has ended it, or will."""
        readings.end(self.claim, code, self._blocks, self._advance())

    def _add(self, found: Found) -> None:
        self._blocks.append(
            Block(
                reading_id=self.claim.reading_id,
                index=self.num_blocks,
                kind=found.kind,
                text=found.text,
                headings=list(found.headings),
                place=found.place,
            )
        )
        self.num_blocks += 1
        self.characters += len(found.text)

    def _save(self) -> None:
        if not readings.save(self.claim, self._blocks, self._advance()):
            raise Lost
        self._blocks, self._is_told = [], True
        self._saved_at = time.monotonic()

    def _advance(self) -> Advance:
        return Advance(self.unit, self.total, self.done, self.characters, self.unreadable)


def read_claimed(claim: Claim, parser: str = "") -> None:
    """Reads the file and ends the reading, whatever the file does. `parser` is the fence's, for tests."""
    began = time.monotonic()
    recorder = Recorder(claim)
    try:
        _read(recorder, parser)
    except Unparsable as error:
        recorder.end(error.fault)
    except FileNotFoundError:
        logger.warning("reading %s has lost its bytes", claim.reading_id)
        recorder.end("broken")
    except (Lost, ReadingCancelled):
        readings.release(claim)  # of no effect where somebody else has ended it
        logger.info("reading %s given up blocks=%d", claim.reading_id, recorder.num_blocks)
    else:
        recorder.end("")
    logger.info("reading %s blocks=%d %.2fs", claim.reading_id, recorder.num_blocks, time.monotonic() - began)


def _read(recorder: Recorder, parser: str) -> None:
    """Raises Unparsable, FileNotFoundError, Lost, ReadingCancelled."""
    claim = recorder.claim
    reading = Reading.objects.filter(readings.held_by(claim)).first()
    if reading is None:
        raise Lost
    limits = Limits(max_pages=settings.UPLOADS.max_pages)
    with storage.local_copy(reading.blob_id) as path:
        source = Source(path, reading.media_type, reading.name, limits)
        with closing(read_file(source, fence_limits(), is_cancelled=recorder.is_over, parser=parser)) as events:
            for event in events:
                recorder.record(event)


def fence_limits() -> FenceLimits:
    given = settings.UPLOADS
    return FenceLimits(
        seconds=given.parse_seconds, cpu_seconds=2 * given.parse_seconds, memory_bytes=given.parse_memory_bytes
    )
