"""Vectors in the background: passages can be found by their words at once, by their meaning a little later.

One loop at a time in the whole house. It yields to answers: the encoder and the model want the same cores.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celery import current_app
from django.db import connection
from kombu.exceptions import OperationalError

import search.index
from chatapp.answers.models import Answer, Status
from search.encoding import OutOfReach

logger = logging.getLogger(__name__)

EMBED = "chatapp.files.tasks.embed_passages"
SECONDS = 50.0  # of one task: then the next takes its place, so that a stop need not wait
BATCH = 32
BUSY_S = 1.0  # between two looks whether an answer is still being written
_LOCK = 5_002  # pg_advisory_lock


def ask_for_vectors() -> None:
    """Beat asks every minute too: a lost request is a late one."""
    try:
        current_app.send_task(EMBED, expires=60, retry=False)
    except OperationalError as error:
        logger.warning("vectors not asked for: %s", type(error).__name__)


def embed_passages() -> int:
    """Makes vectors for a while. Returns how many; asks for more of itself where some are left."""
    give_up = time.monotonic() + SECONDS
    made = 0
    with _alone() as is_alone:
        if not is_alone:
            return 0
        while time.monotonic() < give_up:
            try:
                num = search.index.embed(BATCH, may_go_on)
            except OutOfReach as error:
                logger.warning("vectors wait for the encoder: %s", error)
                return made
            made += num
            if num == 0 and may_go_on():
                return made
            if num == 0:
                time.sleep(BUSY_S)
    ask_for_vectors()
    return made


def may_go_on() -> bool:
    return not Answer.objects.filter(status=Status.RUNNING).exists()


@contextmanager
def _alone() -> Iterator[bool]:
    """A lock of this database session: it is gone with the process."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        (is_alone,) = cursor.fetchone()
        try:
            yield bool(is_alone)
        finally:
            if is_alone:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
