"""Pictures of a question for a model that sees: their bytes beside the text that was read in them."""

import base64
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from chatapp.context.messages import Image
from chatapp.files.models import Attachment
from uploads.models import Upload
from uploads.selectors import open_bytes

# What OpenAI-compatible endpoints take; of a TIFF or HEIC the text alone is read.
SEEN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MOST_BYTES = 8 * 1024 * 1024  # of one: base64 makes a third more of it, and servers refuse bodies above 20 MB
MOST_PICTURES = 8  # of a conversation, the newest
PICTURE_TOKENS = 1000  # about what a picture of 1000 x 1000 costs; no endpoint says beforehand


def is_seen(upload: Upload) -> bool:
    blob = upload.blob
    return blob is not None and blob.media_type in SEEN and blob.size_bytes <= MOST_BYTES


def seen_among(message_ids: Sequence[UUID]) -> list[Attachment]:
    """The newest ones, in the order of the messages."""
    attached = Attachment.objects.filter(message__in=list(message_ids), upload__blob__media_type__in=SEEN)
    rows = [row for row in attached.select_related("upload__blob") if row.upload is not None and is_seen(row.upload)]
    order = {message_id: place for place, message_id in enumerate(message_ids)}
    return sorted(rows, key=lambda row: (order[row.message_id], row.position))[-MOST_PICTURES:]


def pictures_of(message_ids: Sequence[UUID]) -> dict[UUID, tuple[Image, ...]]:
    """By message; those without are left out."""
    pictures: dict[UUID, list[Image]] = defaultdict(list)
    for row in seen_among(message_ids):
        assert row.upload is not None and row.upload.blob is not None
        with open_bytes(row.upload) as file:
            data = base64.b64encode(file.read()).decode()
        pictures[row.message_id].append(Image(row.upload.blob.media_type, data))
    return {message_id: tuple(images) for message_id, images in pictures.items()}
