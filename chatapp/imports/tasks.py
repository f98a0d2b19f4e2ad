"""Celery tasks of imports, queue `default`. Thin, and safe to run twice."""

from uuid import UUID

from celery import shared_task

from chatapp.imports import running


@shared_task(name=running.RUN)
def run_import(import_id: str) -> None:
    running.run(UUID(import_id))


@shared_task(name="chatapp.imports.tasks.sweep_imports")
def sweep_imports() -> None:
    """Every minute."""
    running.sweep()
