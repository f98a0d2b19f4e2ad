"""What others may ask of uploads. No viewer here: who may see what is chatapp's to say."""

from collections.abc import Iterator
from uuid import UUID

from django.core.files import File
from django.db.models import Exists, OuterRef, Sum

from uploads import storage
from uploads.models import Blob, Block, Upload


def blocks_of(reading_id: UUID) -> Iterator[Block]:
    """The located text in the order of reading; a thousand rows at a time."""
    return Block.objects.filter(reading=reading_id).order_by("index").iterator(chunk_size=1000)


def open_bytes(upload: Upload) -> "File[bytes]":
    """The file as it was given. Raises FileNotFoundError for one that is not whole."""
    if upload.blob_id is None:
        raise FileNotFoundError(f"upload {upload.pk} is not whole")
    return storage.open_blob(upload.blob_id)


def used_bytes(owner_id: UUID) -> int:
    """What a person's files take of their quota: the same bytes once, unfinished uploads with all they announce."""
    own = Upload.objects.filter(owner=owner_id)
    blobs = Blob.objects.filter(Exists(own.filter(blob=OuterRef("pk"))))
    whole = blobs.aggregate(sum=Sum("size_bytes"))["sum"] or 0
    receiving = own.filter(state=Upload.State.RECEIVING, cancelled_at=None)
    return int(whole) + int(receiving.aggregate(sum=Sum("size_bytes"))["sum"] or 0)
