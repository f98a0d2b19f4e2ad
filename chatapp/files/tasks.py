"""Celery tasks of files, queue `default`. Thin, and safe to run twice."""

import logging

from celery import shared_task

from chatapp.files.removal import remove_unsent

logger = logging.getLogger(__name__)


@shared_task(name="chatapp.files.tasks.remove_unsent_files")
def remove_unsent_files() -> None:
    """Nightly: files of drafts that were never sent."""
    logger.info("unsent files removed=%d", remove_unsent())
