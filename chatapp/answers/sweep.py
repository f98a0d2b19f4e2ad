"""Tells again what a crash between a commit and its event has kept from the log. Safe to run in several runners."""

import logging
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from chatapp.answers.models import Answer
from chatapp.answers.services import emit_ended, emit_queued

logger = logging.getLogger(__name__)

SWEEP_S = 2.0
# Whoever has just committed is about to tell it himself; twice would be harmless, and noise.
GRACE = timedelta(seconds=2)
BATCH = 100


def emit_lost_events() -> int:
    """How many answers had something untold. Raises RedisError while Valkey is away."""
    old = Now() - GRACE
    queued = Answer.objects.filter(queued_event_at=None, created_at__lt=old, ended_event_at=None)
    ended = Answer.objects.filter(ended_event_at=None, ended_at__lt=old)
    untold = Answer.objects.filter(Q(pk__in=queued) | Q(pk__in=ended)).order_by("created_at")[:BATCH]
    count = 0
    for answer in untold.only("id", "queued_event_at", "ended_at"):
        if answer.queued_event_at is None:
            emit_queued(answer)
        if answer.ended_at is not None:
            emit_ended(answer)
        logger.info("answer %s told again", answer.pk)
        count += 1
    return count
