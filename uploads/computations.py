"""The life of a computation: asked for, claimed by compare-and-set, ended exactly once, and forgotten after a day.

All on the database's clock. Whoever waits looks at `outcome` until it says something. Knows no DuckDB and no process.
"""

import logging
from datetime import timedelta
from functools import partial
from uuid import UUID

from celery import current_app
from django.db import transaction
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from uploads.computing.answer import Refusal, Tables
from uploads.computing.codec import Answer, decode_answer, encode_answer
from uploads.models import COMPUTING, Computation, ComputationState

logger = logging.getLogger(__name__)

COMPUTE = "uploads.tasks.compute"
QUEUED_FOR = timedelta(seconds=90)  # behind the files that are being read
RUNS_FOR = timedelta(seconds=75)  # the fence ends it after 60
KEPT = timedelta(days=1)

LATE = Refusal("timeout", "Nobody was free to compute this in time. Answer without it.")
GONE = Refusal("unreadable", "The file is no longer there.")

State = ComputationState


@transaction.atomic
def begin_query(reading_id: UUID, sql: str) -> UUID:
    """Asks a worker; with a broker that is away nobody does it in time."""
    computation = Computation.objects.create(reading_id=reading_id, sql=sql, deadline=Now() + QUEUED_FOR)
    transaction.on_commit(partial(_send, computation.pk))
    return computation.pk


def begin_tables(reading_id: UUID) -> UUID:
    """What the tables are is asked once for each reading: the file never changes."""
    asked = Computation.objects.filter(reading=reading_id, sql="")
    for known in asked.filter(state__in=[*COMPUTING, State.DONE]).order_by("-created_at"):
        if known.state in COMPUTING or isinstance(decode_answer(known.answer), Tables):
            return known.pk
    return begin_query(reading_id, "")


def known_tables(reading_id: UUID) -> Tables | None:
    """What has been found of a file's tables; with the file it goes."""
    done = Computation.objects.filter(reading=reading_id, sql="", state=State.DONE).order_by("-created_at")
    answers = (decode_answer(computation.answer) for computation in done)
    return next((answer for answer in answers if isinstance(answer, Tables)), None)


def claim(computation_id: UUID) -> Computation | None:
    """None where it has ended, is gone, is somebody else's, or has been waited for long enough."""
    waiting = Computation.objects.filter(pk=computation_id, state=State.QUEUED, deadline__gt=Now())
    if not waiting.update(state=State.RUNNING, started_at=Now(), deadline=Now() + RUNS_FOR):
        return None
    return Computation.objects.select_related("reading").filter(pk=computation_id).first()


def is_running(computation_id: UUID) -> bool:
    return Computation.objects.filter(pk=computation_id, state=State.RUNNING).exists()


def end(computation_id: UUID, answer: Answer) -> bool:
    """By whoever has claimed it; False where it has ended otherwise meanwhile."""
    return _end(computation_id, (State.RUNNING,), State.DONE, answer)


def release(computation_id: UUID) -> None:
    """A worker that is asked to stop leaves it to the next one."""
    running = Computation.objects.filter(pk=computation_id, state=State.RUNNING)
    if running.update(state=State.QUEUED, started_at=None, deadline=Now() + QUEUED_FOR):
        _send(computation_id)


def cancel(computation_id: UUID) -> bool:
    """At once; whoever works on it finds out within a second."""
    return _end(computation_id, COMPUTING, State.CANCELLED, None)


def outcome(computation_id: UUID) -> Answer | None:
    """None while it may still come. One that is late is ended here, so that nobody waits for a dead worker."""
    computation = Computation.objects.filter(pk=computation_id).first()
    if computation is None:
        return GONE
    if computation.state in COMPUTING:
        overdue = Computation.objects.filter(pk=computation_id, deadline__lte=Now()).exists()
        return LATE if overdue and _end(computation_id, COMPUTING, State.FAILED, LATE) else None
    return decode_answer(computation.answer) if computation.answer else LATE


def expire() -> None:
    """Those that nobody waits for any more."""
    overdue = Computation.objects.filter(state__in=COMPUTING, deadline__lte=Now() - RUNS_FOR)
    for computation_id in overdue.values_list("pk", flat=True)[:200]:
        _end(computation_id, COMPUTING, State.FAILED, LATE)


def remove_old() -> int:
    """Answers are kept by who has asked; what the tables are is kept as long as the reading."""
    removed, _ = Computation.objects.filter(ended_at__lt=Now() - KEPT).exclude(sql="", state=State.DONE).delete()
    return removed


def _end(computation_id: UUID, before: tuple[State, ...], state: State, answer: Answer | None) -> bool:
    text = encode_answer(answer) if answer is not None else ""
    open_one = Computation.objects.filter(pk=computation_id, state__in=before)
    ended = bool(open_one.update(state=state, answer=text, ended_at=Now()))
    if ended:
        logger.info("computation %s %s", computation_id, state.value)
    return ended


def _send(computation_id: UUID) -> None:
    try:
        current_app.send_task(COMPUTE, (str(computation_id),), queue="parse", retry=False)
    except OperationalError as error:
        logger.warning("computation %s not sent: %s", computation_id, type(error).__name__)
