"""The files of messages, for whoever may read those: asked after that was settled."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chatapp.files.models import Attachment
from chatapp.files.states import state_of


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file as templates/chat/_files.html shows it; `id` is None once it was deleted."""

    id: UUID | None
    name: str
    size_bytes: int = 0
    state: str = ""
    media_type: str = ""


def files_of(message_ids: Sequence[UUID]) -> dict[UUID, list[SentFile]]:
    """In their order; messages without files are left out."""
    attached = Attachment.objects.filter(message__in=message_ids).select_related("upload__reading")
    files: dict[UUID, list[SentFile]] = defaultdict(list)
    for attachment in attached.order_by("message", "position"):
        files[attachment.message_id].append(_sent(attachment))
    return dict(files)


def _sent(attachment: Attachment) -> SentFile:
    upload = attachment.upload
    if upload is None:
        return SentFile(None, attachment.name)
    media_type = upload.reading.media_type if upload.reading else ""
    return SentFile(upload.pk, upload.name, upload.size_bytes, state_of(upload), media_type)
