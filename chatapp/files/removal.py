"""Files that nothing in the chat has any use for."""

import logging
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from uploads import services
from uploads.models import Upload

logger = logging.getLogger(__name__)

# A draft may wait with its files; nobody comes back to one after a month, and they count towards the quota.
KEPT_UNSENT = timedelta(days=30)


def unused() -> QuerySet[Upload]:
    """What no message carries, no collection holds, and no program has given for its calls."""
    return Upload.objects.filter(attachments=None, collected=None, program_file=None)


def remove_unused(upload_ids: Iterable[UUID]) -> int:
    """Of these, what nothing has any use for any more."""
    return _remove(unused().filter(pk__in=list(upload_ids)))


def remove_unsent() -> int:
    """Drafts of long ago; and what came out of its collection while nobody was there to remove it."""
    return _remove(unused().filter(state=Upload.State.WHOLE, created_at__lt=Now() - KEPT_UNSENT))


def _remove(uploads: QuerySet[Upload]) -> int:
    count = 0
    for upload in uploads:
        services.remove(upload)
        count += 1
    return count
