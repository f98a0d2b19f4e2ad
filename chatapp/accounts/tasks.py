"""Celery tasks of accounts, queue `default`. Thin, and safe to run twice."""

import logging

from celery import shared_task
from django.contrib.sessions.models import Session
from django.db.models.functions import Now

from chatapp.accounts import throttle

logger = logging.getLogger(__name__)


@shared_task(name="chatapp.accounts.tasks.remove_expired_sessions")
def remove_expired_sessions() -> None:
    """Nightly: a session that has run out is refused anyway; this gives back its row and its line in the account."""
    num_removed, _ = Session.objects.filter(expire_date__lt=Now()).delete()
    logger.info("expired sessions removed=%d", num_removed)


@shared_task(name="chatapp.accounts.tasks.forget_failures")
def forget_failures() -> None:
    """Every ten minutes: guessers leave rows that count for nothing any more."""
    if num_removed := throttle.forget_old():
        logger.info("old failures removed=%d", num_removed)
