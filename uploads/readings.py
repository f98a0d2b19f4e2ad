"""The life of a reading: queued, claimed by compare-and-set with a lease and a fence, ended exactly once.

All on the database's clock. Knows no parser and no process.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from celery import current_app
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from uploads.models import OPEN, Blob, Block, Reading, ReadingState
from uploads.signals import reading_ended

logger = logging.getLogger(__name__)

# Raise it when the parsers make other blocks of the same bytes: those are read again when they are next uploaded.
VERSION = 1
PARSE = "uploads.tasks.parse"
LEASE_S = 15.0
MAX_TRIES = 2  # a file that has taken two workers with it does not get a third

State = ReadingState


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write for one reading, as long as `fence` is the reading's own."""

    reading_id: UUID
    fence: int


@dataclass(frozen=True, slots=True)
class Advance:
    """What is known of a reading's progress."""

    unit: str
    total: int
    done: int
    characters: int
    unreadable: Sequence[dict[str, int | str]]


def reading_of(blob: Blob, media_type: str, name: str) -> Reading:
    """The reading of these bytes as this type, made and queued if there was none, or if it had been called off."""
    reading, is_new = Reading.objects.get_or_create(
        blob=blob, media_type=media_type, version=VERSION, defaults={"name": name}
    )
    if is_new:
        send(reading.pk)
    elif reading.state == State.CANCELLED:
        requeue(reading)
    return reading


def send(reading_id: UUID) -> None:
    """To the queue, on commit; a broker that is away is asked again by the sweep."""
    transaction.on_commit(partial(_send_now, reading_id))


def requeue(reading: Reading) -> bool:
    """Begins a reading anew that has failed, was cancelled or is partial; False for any other."""
    ended = Reading.objects.filter(pk=reading.pk, state__in=[State.FAILED, State.CANCELLED, State.PARTLY])
    changed = ended.update(
        state=State.QUEUED,
        fence=F("fence") + 1,
        code="",
        tries=0,
        total=0,
        done=0,
        unreadable=[],
        lease_expires_at=None,
        sent_at=None,
        started_at=None,
        ended_at=None,
        announced_at=None,
    )
    if changed:
        send(reading.pk)
    return bool(changed)


# The second condition: whoever had claimed it has died, or lost the database for longer than the lease.
_CLAIM = """
UPDATE uploads_reading
SET state = 'parsing', fence = fence + 1, tries = tries + 1, total = 0, done = 0, characters = 0, unreadable = '[]',
    lease_expires_at = clock_timestamp() + make_interval(secs => %s),
    started_at = clock_timestamp()
WHERE id = %s
  AND (state = 'queued' OR (state = 'parsing' AND lease_expires_at <= clock_timestamp()))
  AND tries < %s
RETURNING id, fence
"""


@transaction.atomic
def claim(reading_id: UUID) -> Claim | None:
    """None where it has ended, is gone, or is somebody else's. What an earlier try has saved is removed."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [LEASE_S, reading_id, MAX_TRIES])
        row = cursor.fetchone()
    if row is None:
        return None
    Block.objects.filter(reading=reading_id).delete()
    return Claim(*row)


def release(claim: Claim) -> None:
    """Back to the queue: the next worker may have it at once, and it does not count as a try."""
    released = Reading.objects.filter(held_by(claim)).update(
        state=State.QUEUED, fence=F("fence") + 1, tries=F("tries") - 1, lease_expires_at=None, sent_at=None
    )
    if released:
        send(claim.reading_id)


@transaction.atomic
def save(claim: Claim, blocks: Sequence[Block], advance: Advance) -> bool:
    """Adds blocks, tells the progress, renews the lease; False, and nothing saved, where the claim is lost."""
    lease = Now() + timedelta(seconds=LEASE_S)
    if not Reading.objects.filter(held_by(claim)).update(lease_expires_at=lease, **_columns(advance)):
        return False
    Block.objects.bulk_create(blocks, batch_size=500)
    return True


@transaction.atomic
def end(claim: Claim, code: str, blocks: Sequence[Block], advance: Advance) -> ReadingState | None:
    """The one end of a claimed reading, its last blocks in the same step; None where the claim is lost.

    A fault after some text leaves what was read: `partly`, and the code says why no more.
    """
    held = Reading.objects.select_for_update().filter(held_by(claim)).first()
    if held is None:
        return None
    Block.objects.bulk_create(blocks, batch_size=500)
    if not code and advance.unreadable and not Block.objects.filter(reading=held).exists():
        code = str(advance.unreadable[0]["code"])  # not one unit could be read
    state = _end_state(held, code, bool(advance.unreadable))
    Reading.objects.filter(held_by(claim)).update(
        state=state, code=code, ended_at=Now(), lease_expires_at=None, **_columns(advance)
    )
    transaction.on_commit(partial(announce, held.pk))
    logger.info("reading %s %s %s tries=%d units=%d", held.pk, state.value, code or "-", held.tries, advance.done)
    return state


@transaction.atomic
def give_up(reading_id: UUID) -> bool:
    """Ends a reading that has outlived all its tries; what the last of them had read is kept."""
    expired = Q(state=State.PARSING, lease_expires_at__lte=Now(), tries__gte=MAX_TRIES)
    held = Reading.objects.select_for_update().filter(expired, pk=reading_id).first()
    if held is None:
        return False
    state = _end_state(held, "crashed", False)
    Reading.objects.filter(pk=held.pk).update(
        state=state, code="crashed", fence=F("fence") + 1, ended_at=Now(), lease_expires_at=None
    )
    transaction.on_commit(partial(announce, held.pk))
    logger.warning("reading %s %s crashed after %d tries", held.pk, state.value, held.tries)
    return True


def cancel(reading: Reading) -> bool:
    """At once, whoever works on it: the fence moves, and the worker finds out at its next step."""
    changed = Reading.objects.filter(pk=reading.pk, state__in=OPEN).update(
        state=State.CANCELLED, fence=F("fence") + 1, ended_at=Now(), lease_expires_at=None
    )
    if changed:
        transaction.on_commit(partial(announce, reading.pk))
    return bool(changed)


def announce(reading_id: UUID) -> None:
    """Tells the listeners how it has ended; where one of them fails, the sweep tells all again."""
    reading = Reading.objects.filter(pk=reading_id, announced_at=None, ended_at__isnull=False).first()
    if reading is None:
        return
    try:
        reading_ended.send(sender=Reading, reading_id=reading.pk, state=reading.state)
    except OperationalError as error:
        logger.warning("end of reading %s not told: %s", reading_id, type(error).__name__)
        return
    Reading.objects.filter(pk=reading_id, fence=reading.fence).update(announced_at=Now())


def held_by(claim: Claim) -> Q:
    """The compare of every compare-and-set that a worker does."""
    return Q(id=claim.reading_id, fence=claim.fence, state=State.PARSING)


def _end_state(reading: Reading, code: str, has_unreadable: bool) -> ReadingState:
    has_text = Block.objects.filter(reading=reading).exists()
    if code:
        return State.PARTLY if has_text else State.FAILED
    return State.PARTLY if has_unreadable else State.READY


def _columns(advance: Advance) -> dict[str, object]:
    return {
        "unit": advance.unit,
        "total": advance.total,
        "done": advance.done,
        "characters": advance.characters,
        "unreadable": list(advance.unreadable),
    }


def _send_now(reading_id: UUID) -> None:
    try:
        current_app.send_task(PARSE, (str(reading_id),), queue="parse", retry=False)
    except OperationalError as error:
        logger.warning("reading %s not sent: %s", reading_id, type(error).__name__)
        return
    Reading.objects.filter(pk=reading_id).update(sent_at=Now())
