"""What parsed files owe to search: the text of a reading becomes passages, and they go with it.

uploads and search know nothing of one another: the reading's id is the source's id.
"""

import logging
from collections.abc import Iterable
from uuid import UUID

from celery import current_app
from django.db import transaction
from django.db.models import Exists, OuterRef

import search.index
from search.models import Passage
from uploads.models import Reading, ReadingState
from uploads.selectors import blocks_of

logger = logging.getLogger(__name__)

INDEX = "chatapp.files.tasks.index_reading"
WITH_TEXT = (ReadingState.READY, ReadingState.PARTLY)
BATCH = 100


def ask_for_index(*, reading_id: UUID, **_facts: object) -> None:
    """Hears that a reading has ended, however. Raises OperationalError while the broker is away: it is told again."""
    current_app.send_task(INDEX, (str(reading_id),), retry=False)


def drop_passages(*, reading_ids: Iterable[UUID], **_facts: object) -> None:
    """Hears of readings that are going, inside the transaction that removes them."""
    search.index.drop(reading_ids)


@transaction.atomic
def index(reading_id: UUID) -> None:
    """Passages as the reading is now: of its text, or none. The row is held, so that it is not removed meanwhile."""
    reading = Reading.objects.select_for_update(no_key=True).filter(pk=reading_id).first()
    if reading is None:
        return
    if reading.state in WITH_TEXT:
        search.index.put(reading_id, blocks_of(reading_id))
    else:
        search.index.drop([reading_id])


def ask_for_missed() -> int:
    """A broker that has lost its queue has lost these: text without a passage."""
    indexed = Passage.objects.filter(source_id=OuterRef("pk"))
    missed = Reading.objects.filter(~Exists(indexed), state__in=WITH_TEXT, characters__gt=0, announced_at__isnull=False)
    reading_ids = list(missed.order_by("ended_at").values_list("pk", flat=True)[:BATCH])
    for reading_id in reading_ids:
        ask_for_index(reading_id=reading_id)
    return len(reading_ids)
