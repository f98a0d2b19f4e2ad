"""The Django project: accounts, conversations, the stream to browsers, the public API."""

# Every process that sends or runs a task needs the configured application, not Celery's own default.
from chatapp.celery import app as celery_app

__all__ = ["celery_app"]
