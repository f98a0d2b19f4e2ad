"""Celery tasks of uploads. Thin, and safe to run twice."""

from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_shutting_down

from uploads import calculating, computations, parsing, sweep
from uploads.readings import PARSE, claim


@shared_task(name=PARSE)
def parse(reading_id: str) -> None:
    """Queue `parse`. One file, one child process; whoever comes second finds nothing to claim."""
    claimed = claim(UUID(reading_id))
    if claimed is not None:
        parsing.read_claimed(claimed)


@shared_task(name=computations.COMPUTE)
def compute(computation_id: str) -> None:
    """Queue `parse`. Somebody waits for it; whoever comes second, or too late, finds nothing to claim."""
    claimed = computations.claim(UUID(computation_id))
    if claimed is not None:
        calculating.answer_claimed(claimed)


@worker_shutting_down.connect
def give_back(**_facts: Any) -> None:
    """A worker that is asked to stop does not wait for a long file: the next one begins it anew."""
    parsing.stopping.set()


@shared_task(name="uploads.tasks.sweep_uploads")
def sweep_uploads() -> None:
    """Twice a minute: what a crash has left half done goes on."""
    sweep.finish_received()
    sweep.send_waiting()
    sweep.take_over_expired()
    sweep.announce_again()
    computations.expire()


@shared_task(name="uploads.tasks.find_orphans")
def find_orphans() -> None:
    """Nightly: unfinished uploads that nobody goes on with, bytes without rows and rows without bytes."""
    sweep.remove_unfinished()
    sweep.remove_orphans()
    computations.remove_old()
