"""The one place of rights on presets: its owner may do everything; a grant gives read (ask with it, see what it says),
or write (also change it). A collection that it asks has rights of its own.
"""

from uuid import UUID

from django.db.models import OuterRef, QuerySet

from chatapp.accounts.grants import Access, one, open_to
from chatapp.accounts.models import User
from chatapp.presets.models import Preset, PresetGrant


def presets(viewer: User, access: Access = Access.READ) -> QuerySet[Preset]:
    """The presets that the viewer may use so."""
    return open_to(Preset.objects.all(), PresetGrant.objects.filter(preset=OuterRef("pk")), viewer, access)


def get_preset(viewer: User, preset_id: UUID, access: Access = Access.READ) -> Preset:
    """Raises NotFound."""
    return one(presets(viewer, access), preset_id)


def get_own_preset(viewer: User, preset_id: UUID) -> Preset:
    """One that is the viewer's to share and to delete. Raises NotFound."""
    return one(presets(viewer).filter(owner=viewer), preset_id)


def preset_for(preset_id: UUID | None, asker: User | None) -> Preset | None:
    """What a question is answered with; None too where the asker may not read it any more."""
    if preset_id is None or asker is None:
        return None
    return presets(asker).filter(pk=preset_id).first()
