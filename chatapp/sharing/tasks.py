"""Celery tasks of sharing, queue `default`. Thin, and safe to run twice."""

import logging

from celery import shared_task

from chatapp.sharing import links

logger = logging.getLogger(__name__)


@shared_task(name="chatapp.sharing.tasks.remove_expired_links")
def remove_expired_links() -> None:
    """Nightly: an expired link shows nothing anyway; this removes the snapshot too."""
    logger.info("expired public links removed=%d", links.remove_expired())
