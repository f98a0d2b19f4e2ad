"""Celery tasks of exports, queue `default`. Thin, and safe to run twice."""

import logging
import tempfile
from functools import partial
from pathlib import Path
from uuid import UUID

from celery import shared_task
from django.conf import settings

from chatapp.exports import archives
from chatapp.exports.packing import pack

logger = logging.getLogger(__name__)


@shared_task(name=archives.MAKE)
def make_archive(archive_id: str) -> None:
    archive = archives.claim(UUID(archive_id))
    if archive is None:
        return
    folder = settings.UPLOADS.partial_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder, prefix="archive-") as work:
        path = Path(work) / "archive.zip"
        try:
            pack(archive.owner, path, partial(archives.progress, archive))
            archives.finish(archive, path)
        except archives.Lost:
            logger.info("archive %s taken over or removed", archive_id)
        except OSError as error:  # no room, or the storage is away: said to the one who waits
            logger.warning("archive %s failed: %s", archive_id, type(error).__name__)
            archives.fail(archive)


@shared_task(name="chatapp.exports.tasks.sweep_archives")
def sweep_archives() -> None:
    """Every minute."""
    archives.sweep()


@shared_task(name="chatapp.exports.tasks.remove_expired_archives")
def remove_expired_archives() -> None:
    """Every hour."""
    if num_removed := archives.remove_expired():
        logger.info("archives removed=%d", num_removed)
