"""What the chip of a file says."""

from collections.abc import Sequence
from typing import TypedDict
from uuid import UUID

from chatapp.accounts.models import User
from chatapp.files.access import readable
from chatapp.files.words import fault_words, partly_words, refusal_words
from uploads.models import Reading, ReadingState, Upload


class Unread(TypedDict):
    number: int
    code: str


class ChipState(TypedDict):
    """`state`: uploading, queued, parsing, ready, partly, failed, cancelled or refused; `reason` is for people."""

    id: str
    name: str
    size_bytes: int
    offset: int
    media_type: str
    state: str
    unit: str
    total: int
    done: int
    unreadable: list[Unread]
    reason: str
    characters: int


def read_states(viewer: User, upload_ids: Sequence[UUID]) -> list[ChipState]:
    """In the order asked for; what is not there, or not the viewer's to read, is left out."""
    found = readable(viewer).select_related("blob", "reading").in_bulk(upload_ids)
    return [chip_state(found[id]) for id in upload_ids if id in found]


def chip_state(upload: Upload) -> ChipState:
    """Call it in the language of the reader, with blob and reading loaded."""
    reading = upload.reading
    return {
        "id": str(upload.pk),
        "name": upload.name,
        "size_bytes": upload.size_bytes,
        "offset": upload.offset,
        "media_type": reading.media_type if reading else "",
        "state": state_of(upload),
        "unit": reading.unit if reading else "",
        "total": reading.total if reading else 0,
        "done": reading.done if reading else 0,
        "unreadable": reading.unreadable if reading else [],
        "reason": _reason(upload, reading),
        "characters": reading.characters if reading else 0,
    }


def state_of(upload: Upload) -> str:
    if upload.cancelled_at is not None:
        return "cancelled"
    if upload.state == Upload.State.REFUSED:
        return "refused"
    return upload.reading.state if upload.reading else "uploading"


def _reason(upload: Upload, reading: Reading | None) -> str:
    if upload.state == Upload.State.REFUSED:
        return refusal_words(upload.refusal, {})
    if reading is None or upload.cancelled_at is not None:
        return ""
    if reading.state == ReadingState.FAILED:
        return fault_words(reading.code)
    if reading.state == ReadingState.PARTLY:
        numbers = [unread["number"] for unread in reading.unreadable]
        return partly_words(reading.unit, reading.done, reading.total, numbers, reading.code)
    return ""
