"""The Celery application: queues `parse`, `search` and `default`. Run: `celery -A chatapp.celery worker -Q default`."""

import os

from celery import Celery
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")

app = Celery("sonde")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "purge-deleted": {"task": "chatapp.conversations.tasks.purge_deleted", "schedule": crontab(hour=3, minute=20)},
    "temporary-chats": {
        "task": "chatapp.conversations.tasks.remove_temporary",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "expired-sessions": {
        "task": "chatapp.accounts.tasks.remove_expired_sessions",
        "schedule": crontab(hour=3, minute=40),
    },
    "failures": {
        "task": "chatapp.accounts.tasks.forget_failures",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "expired-links": {
        "task": "chatapp.sharing.tasks.remove_expired_links",
        "schedule": crontab(hour=3, minute=45),
    },
    "sweep-archives": {
        "task": "chatapp.exports.tasks.sweep_archives",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "sweep-imports": {
        "task": "chatapp.imports.tasks.sweep_imports",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "expired-archives": {
        "task": "chatapp.exports.tasks.remove_expired_archives",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "sweep-uploads": {"task": "uploads.tasks.sweep_uploads", "schedule": 30.0, "options": {"expires": 30}},
    "sweep-searches": {
        "task": "chatapp.searches.tasks.sweep_searches",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "index-missed": {"task": "chatapp.files.tasks.index_missed", "schedule": 600.0, "options": {"expires": 600}},
    "embed-passages": {"task": "chatapp.files.tasks.embed_passages", "schedule": 60.0, "options": {"expires": 60}},
    "read-messages": {"task": "chatapp.finding.tasks.index_waiting", "schedule": 60.0, "options": {"expires": 60}},
    "unused-words": {"task": "chatapp.finding.tasks.forget_unused_words", "schedule": crontab(hour=3, minute=30)},
    "unsent-files": {
        "task": "chatapp.files.tasks.remove_unsent_files",
        "schedule": crontab(hour=3, minute=50),
    },
    "unused-evidence": {"task": "chatapp.evidence.tasks.remove_unused_texts", "schedule": crontab(hour=4, minute=10)},
    "orphans": {"task": "uploads.tasks.find_orphans", "schedule": crontab(hour=4, minute=0)},
}
