"""Celery tasks of finding, queue `default`. Thin, and safe to run twice."""

import logging

from celery import shared_task

from chatapp.finding import indexing

logger = logging.getLogger(__name__)


@shared_task(name=indexing.INDEX)
def index_waiting() -> None:
    """After a question and after an answer, and every minute."""
    if num := indexing.index_waiting():
        logger.info("messages and titles read=%d", num)


@shared_task(name="chatapp.finding.tasks.forget_unused_words")
def forget_unused_words() -> None:
    """Nightly, after the purge."""
    logger.info("unused words of messages removed=%d", indexing.forget_unused_words())
