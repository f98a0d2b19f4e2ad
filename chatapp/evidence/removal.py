"""Hears that files were deleted, and lets go of what answers had kept of them."""

import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.dispatch import receiver

from chatapp.evidence.services import forget_sources
from uploads.signals import readings_removed

logger = logging.getLogger(__name__)


@receiver(readings_removed)
def forget_deleted(sender: Any, reading_ids: Sequence[UUID], **kwargs: Any) -> None:
    blanked = forget_sources(reading_ids)
    logger.info("evidence of %d deleted readings blanked=%d", len(reading_ids), blanked)
