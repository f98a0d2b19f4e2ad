"""What crashes and absences leave behind: found again from the rows, twice a minute, and the rest at night."""

import logging
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from uploads import partial, readings, services, storage
from uploads.locks import lock_content
from uploads.models import Blob, Reading, ReadingState, Upload

logger = logging.getLogger(__name__)

# Whoever has just committed is about to go on himself; twice would be harmless, and noise.
GRACE = timedelta(seconds=10)
# A queue that has lost a reading, or is that long: a second sending finds nothing to claim.
SENT_AGAIN = timedelta(minutes=2)
KEPT_UNFINISHED = 24 * 3600  # seconds after the last byte; a browser that was closed overnight goes on
BATCH = 200


def finish_received() -> None:
    """All bytes are safe, and the process died before it stored them as whole."""
    received = Upload.objects.filter(state=Upload.State.RECEIVING, cancelled_at=None, active_at__lt=Now() - GRACE)
    for upload in received.order_by("active_at")[:BATCH]:
        if partial.size_on_disk(upload.pk) == upload.size_bytes:
            services.settle(upload)


def send_waiting() -> None:
    waiting = Reading.objects.filter(Q(sent_at=None) | Q(sent_at__lt=Now() - SENT_AGAIN), state=ReadingState.QUEUED)
    for reading_id in _ids(waiting.filter(created_at__lt=Now() - GRACE)):
        readings.send(reading_id)


def take_over_expired() -> None:
    """A worker has died over these: they are tried once more, or given up."""
    expired = Reading.objects.filter(state=ReadingState.PARSING, lease_expires_at__lte=Now())
    for reading_id in _ids(expired):
        if not readings.give_up(reading_id):
            logger.warning("reading %s lost its worker", reading_id)
            readings.send(reading_id)


def announce_again() -> None:
    untold = Reading.objects.filter(announced_at=None, ended_at__lt=Now() - GRACE)
    for reading_id in _ids(untold, "ended_at"):
        readings.announce(reading_id)


def remove_unfinished() -> None:
    old = Upload.objects.exclude(state=Upload.State.WHOLE)
    for upload in old.filter(active_at__lt=Now() - timedelta(seconds=KEPT_UNFINISHED)).iterator():
        services.remove(upload)


def remove_orphans() -> None:
    """Rows and bytes that came to be without each other: by a crash, a deleted person, or somebody's hand."""
    unused = Blob.objects.filter(uploads=None) | Blob.objects.filter(readings__uploads=None)
    num_unused = 0
    for sha256 in unused.distinct().values_list("pk", flat=True):
        with transaction.atomic():
            lock_content(sha256)
            services.drop_unused(sha256)
        num_unused += 1
    kept = set(storage.stored())
    num_bytes = sum(services.drop_bytes(sha256) for sha256 in kept)
    num_lost = _tell_lost(kept)
    num_partial = _drop_partials()
    logger.info(
        "orphans: unused rows=%d bytes without rows=%d rows without bytes=%d unfinished files=%d",
        num_unused,
        num_bytes,
        num_lost,
        num_partial,
    )


def _tell_lost(kept: set[str]) -> int:
    """Their text is still there, so nothing is removed: somebody should look, and may have a backup."""
    lost = [blob for blob in Blob.objects.values_list("pk", flat=True).iterator() if blob not in kept]
    for sha256 in lost:
        logger.warning("blob %s has lost its bytes", sha256[:12])
    return len(lost)


def _drop_partials() -> int:
    """Copies for reading, and bytes of uploads that are whole or gone."""
    count = 0
    for name, path in partial.forgotten(older_than_s=3600):
        if not _is_receiving(name):
            path.unlink(missing_ok=True)
            count += 1
    return count


def _is_receiving(name: str) -> bool:
    try:
        upload_id = UUID(name)
    except ValueError:
        return False
    return Upload.objects.filter(pk=upload_id, state=Upload.State.RECEIVING, cancelled_at=None).exists()


def _ids(rows: QuerySet[Reading], order: str = "created_at") -> list[UUID]:
    return list(rows.order_by(order).values_list("pk", flat=True)[:BATCH])
