"""Celery tasks of files, queue `default`. Thin, and safe to run twice."""

import logging
from uuid import UUID

from celery import shared_task

from chatapp.files import embedding, indexing
from chatapp.files.removal import remove_unsent

logger = logging.getLogger(__name__)


@shared_task(name=indexing.INDEX)
def index_reading(reading_id: str) -> None:
    indexing.index(UUID(reading_id))
    embedding.ask_for_vectors()


@shared_task(name=embedding.EMBED)
def embed_passages() -> None:
    """After each file, and every minute."""
    if num_made := embedding.embed_passages():
        logger.info("vectors made=%d", num_made)


@shared_task(name="chatapp.files.tasks.index_missed")
def index_missed() -> None:
    """Every ten minutes; nothing to do unless the broker has lost something."""
    if num_missed := indexing.ask_for_missed():
        logger.warning("readings without passages=%d", num_missed)


@shared_task(name="chatapp.files.tasks.remove_unsent_files")
def remove_unsent_files() -> None:
    """Nightly: files of drafts that were never sent."""
    logger.info("unsent files removed=%d", remove_unsent())
