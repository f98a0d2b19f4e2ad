"""The life of an archive: asked for, claimed by one worker at a time, ready or failed, removed."""

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from celery import current_app
from django.core.files import File
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import OperationalError

from chatapp.accounts.grants import one
from chatapp.accounts.models import User
from chatapp.exports.models import Archive

logger = logging.getLogger(__name__)

MAKE = "chatapp.exports.tasks.make_archive"
KEPT = timedelta(days=7)
LEASE = timedelta(minutes=2)  # renewed with every chat and every file
MOST_TRIES = 3
State = Archive.State
OPEN = (State.QUEUED, State.RUNNING)


class Lost(Exception):
    """The claim holds no more: another worker has it, or the archive is gone."""


def archives(viewer: User) -> QuerySet[Archive]:
    """The viewer's own; nobody else's archive is anybody's to see."""
    return Archive.objects.filter(owner=viewer) if viewer.is_active else Archive.objects.none()


def get_archive(viewer: User, archive_id: UUID) -> Archive:
    """Raises NotFound."""
    return one(archives(viewer), archive_id)


def ask(viewer: User) -> Archive:
    """One at a time: the one that is being made is the answer to the next request, too."""
    try:
        with transaction.atomic():
            archive = Archive.objects.create(owner=viewer, expires_at=timezone.now() + KEPT)
            transaction.on_commit(lambda: _send(archive.pk))
    except IntegrityError:
        return archives(viewer).get(state__in=OPEN)
    logger.info("archive %s asked for by=%s", archive.pk, viewer.pk)
    return archive


def delete(viewer: User, archive_id: UUID) -> None:
    """Raises NotFound."""
    _remove(get_archive(viewer, archive_id))


def claim(archive_id: UUID) -> Archive | None:
    """By compare-and-set; None where another worker has it, or nothing is left to do."""
    free = Q(state=State.QUEUED) | Q(state=State.RUNNING, lease_expires_at__lt=Now())
    claimed = Archive.objects.filter(free, pk=archive_id, tries__lt=MOST_TRIES).update(
        state=State.RUNNING, tries=F("tries") + 1, lease_expires_at=Now() + LEASE, done=0
    )
    return Archive.objects.select_related("owner").get(pk=archive_id) if claimed else None


def progress(archive: Archive, done: int, total: int) -> None:
    """Raises Lost."""
    if not _held(archive).update(done=done, total=total, lease_expires_at=Now() + LEASE):
        raise Lost


def finish(archive: Archive, path: Path) -> None:
    """The bytes first, then the row that lets them be fetched. Raises Lost."""
    storage = storages["exports"]
    if storage.exists(archive.key):
        storage.delete(archive.key)  # of a try that a crash has ended
    with path.open("rb") as file:
        storage.save(archive.key, File(file))
    if not _held(archive).update(state=State.READY, size_bytes=path.stat().st_size, done=F("total")):
        raise Lost
    logger.info("archive %s ready bytes=%d", archive.pk, path.stat().st_size)


def fail(archive: Archive) -> None:
    _held(archive).update(state=State.FAILED)


def sweep() -> None:
    """Every minute: sends again what the broker or a crash has lost, and ends what nobody could make."""
    lost = Q(state=State.RUNNING, lease_expires_at__lt=Now()) | Q(
        state=State.QUEUED, created_at__lt=Now() - timedelta(minutes=1)
    )
    for archive in Archive.objects.filter(lost):
        if archive.tries >= MOST_TRIES:
            Archive.objects.filter(lost, pk=archive.pk).update(state=State.FAILED)
            logger.warning("archive %s failed tries=%d", archive.pk, archive.tries)
        else:
            _send(archive.pk)


def remove_expired() -> int:
    return _each(Archive.objects.filter(expires_at__lt=Now()), _remove)


def remove_all_of(person: User) -> None:
    _each(Archive.objects.filter(owner=person), _remove)


def _each(found: QuerySet[Archive], act: Callable[[Archive], None]) -> int:
    count = 0
    for archive in found:
        act(archive)
        count += 1
    return count


def _remove(archive: Archive) -> None:
    """The bytes go when it is certain that the row has: nobody is led to what is not there."""
    with transaction.atomic():
        Archive.objects.filter(pk=archive.pk).delete()
        transaction.on_commit(partial(storages["exports"].delete, archive.key))


def _held(archive: Archive) -> QuerySet[Archive]:
    return Archive.objects.filter(pk=archive.pk, state=State.RUNNING, tries=archive.tries)


def _send(archive_id: UUID) -> None:
    try:
        current_app.send_task(MAKE, (str(archive_id),), retry=False)
    except OperationalError as error:
        logger.warning("archive %s not sent: %s", archive_id, type(error).__name__)  # the sweep sends it again
