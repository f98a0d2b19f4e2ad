"""Celery tasks of uploads. Thin, and safe to run twice."""

from celery import shared_task

from uploads import sweep


@shared_task(name="uploads.tasks.sweep_uploads")
def sweep_uploads() -> None:
    """Twice a minute: what a crash has left half done goes on."""
    sweep.finish_received()
    sweep.send_waiting()
    sweep.take_over_expired()
    sweep.announce_again()


@shared_task(name="uploads.tasks.find_orphans")
def find_orphans() -> None:
    """Nightly: unfinished uploads that nobody goes on with, bytes without rows and rows without bytes."""
    sweep.remove_unfinished()
    sweep.remove_orphans()
