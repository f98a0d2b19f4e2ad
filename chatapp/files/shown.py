"""The files and collections of messages, as pages show them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from chatapp.accounts.models import User
from chatapp.files.access import collections
from chatapp.files.models import Attachment, MessageCollection
from chatapp.files.states import state_of


@dataclass(frozen=True, slots=True)
class ShownFile:
    """`id` is empty once the file was deleted: then only its name is known."""

    id: str
    name: str
    size_bytes: int
    state: str
    media_type: str


@dataclass(frozen=True, slots=True)
class ShownCollection:
    """`id` is empty once it was deleted. `may_open`: the viewer may read what is in it."""

    id: str
    name: str
    may_open: bool


def collections_of(viewer: User, message_ids: Iterable[UUID]) -> dict[UUID, list[ShownCollection]]:
    """Their names, for whoever may read these messages; what is in them is another right."""
    shown: dict[UUID, list[ShownCollection]] = defaultdict(list)
    asked = list(MessageCollection.objects.filter(message__in=message_ids).order_by("message", "id"))
    if not asked:
        return {}
    open_to_viewer = set(collections(viewer).filter(messages__in=asked).values_list("pk", flat=True))
    for each in asked:
        id = str(each.collection_id or "")
        shown[each.message_id].append(ShownCollection(id, each.name, each.collection_id in open_to_viewer))
    return dict(shown)


def files_of(message_ids: Iterable[UUID]) -> dict[UUID, list[ShownFile]]:
    """For whoever may read these messages: no viewer is asked."""
    files: dict[UUID, list[ShownFile]] = defaultdict(list)
    attachments = Attachment.objects.filter(message__in=message_ids).select_related("upload__reading")
    for attachment in attachments.order_by("message", "position"):
        files[attachment.message_id].append(_shown(attachment))
    return dict(files)


def _shown(attachment: Attachment) -> ShownFile:
    upload = attachment.upload
    if upload is None:
        return ShownFile("", attachment.name, 0, "", "")
    media_type = upload.reading.media_type if upload.reading else ""
    return ShownFile(str(upload.pk), attachment.name, upload.size_bytes, state_of(upload), media_type)
