"""What is done to a preset. One transaction each."""

import logging
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.accounts.principals import Principal, columns_of
from chatapp.endpoints.models import Endpoint
from chatapp.errors import ChatError, NotFound
from chatapp.files.access import collections
from chatapp.files.models import Collection
from chatapp.presets.access import get_own_preset, get_preset
from chatapp.presets.models import Preset

logger = logging.getLogger(__name__)

MAX_NAME = 100  # characters, the column's width
MAX_PROMPT = 20_000  # characters: it stands before every question, and every answer pays for it
MAX_TEMPERATURE = 2.0  # what OpenAI-compatible servers take
MOST = 200  # of one person


@dataclass(frozen=True, slots=True)
class PresetFields:
    """What somebody has chosen; PresetForm has checked its ranges."""

    name: str
    system_prompt: str
    endpoint: Endpoint | None
    temperature: float | None
    max_tokens: int | None
    thinking: bool
    search: bool
    deep: bool
    collections: tuple[Collection, ...]


def create(viewer: User, fields: PresetFields) -> Preset:
    """Raises ChatError."""
    if Preset.objects.filter(owner=viewer).count() >= MOST:
        raise ChatError("too_many", _("At most %(limit)s presets: delete one first.") % {"limit": MOST})
    with transaction.atomic():
        preset = _set(viewer, Preset(owner=viewer), fields)
    logger.info("preset %s made by=%s", preset.pk, viewer.pk)
    return preset


def change(viewer: User, preset_id: UUID, fields: PresetFields) -> Preset:
    """Raises NotFound."""
    with transaction.atomic():
        return _set(viewer, get_preset(viewer, preset_id, Access.WRITE), fields)


def share(viewer: User, preset_id: UUID, principal: Principal, access: Access) -> None:
    """With a person, a group, or everyone of the team (None); in place of what they had. Raises NotFound."""
    preset = get_own_preset(viewer, preset_id)
    preset.grants.update_or_create(**columns_of(principal), defaults={"access": access})
    logger.info("preset %s shared by=%s", preset_id, viewer.pk)


def end_share(viewer: User, preset_id: UUID, grant_id: int) -> None:
    """Raises NotFound."""
    if not get_own_preset(viewer, preset_id).grants.filter(pk=grant_id).delete()[0]:
        raise NotFound


def delete(viewer: User, preset_id: UUID) -> None:
    """The owner's alone; answers that were asked with it stay. Raises NotFound."""
    get_own_preset(viewer, preset_id).delete()
    logger.info("preset %s deleted by=%s", preset_id, viewer.pk)


def _set(viewer: User, preset: Preset, fields: PresetFields) -> Preset:
    """Collections that the viewer cannot see are neither given nor taken by them."""
    for name in ("name", "system_prompt", "endpoint", "temperature", "max_tokens", "thinking", "search", "deep"):
        setattr(preset, name, getattr(fields, name))
    preset.save()
    unseen = preset.collections.exclude(pk__in=collections(viewer).values("pk"))
    preset.collections.set([*unseen, *fields.collections])
    return preset
