"""What is done to an upload, from its announcement to its removal. One transaction each; tasks and bytes follow it.

Every state is left by a compare-and-set or under the row's lock, so that any two of these may meet at any moment.
"""

import logging
from collections.abc import Iterable
from functools import partial
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from uploads import readings, storage
from uploads.errors import Refused
from uploads.locks import lock_content
from uploads.models import OPEN, Blob, Reading, Upload
from uploads.partial import Checksum, Partial
from uploads.selectors import used_bytes
from uploads.signals import readings_removed, uploads_removed
from uploads.sniffing import sniff

logger = logging.getLogger(__name__)

MAX_NAME = 255  # characters, as file systems have it
# Files that a person may have begun and not finished: a message takes 50, and a second tab may bring its own.
MAX_RECEIVING = 200

_State = Upload.State


def begin(owner_id: UUID, name: str, size_bytes: int, origin: str = Upload.Origin.COMPOSER) -> Upload:
    """Announces a file. Raises Refused: empty, name, too_large, too_many, quota."""
    name = clean_name(name)
    if size_bytes <= 0:
        raise Refused("empty")
    if size_bytes > settings.UPLOADS.max_bytes:
        raise Refused("too_large", limit_bytes=settings.UPLOADS.max_bytes)
    with transaction.atomic():
        _check_room(owner_id, size_bytes)
        upload = Upload.objects.create(owner_id=owner_id, name=name, size_bytes=size_bytes, origin=origin)
    logger.info("upload %s begun bytes=%d by=%s", upload.pk, size_bytes, owner_id)
    return upload


def clean_name(name: str) -> str:
    """The last part of a path of any system, without what cannot be stored or shown. Raises Refused(name)."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(character for character in last if character.isprintable()).strip()
    if shown in ("", ".", ".."):
        raise Refused("name")
    stem, dot, suffix = shown.rpartition(".")
    if len(shown) > MAX_NAME and dot and len(suffix) < 20:
        return stem[: MAX_NAME - 1 - len(suffix)] + dot + suffix
    return shown[:MAX_NAME]


def append(upload: Upload, offset: int, pieces: Iterable[bytes], checksum: Checksum | None = None) -> int:
    """Adds bytes at `offset` and returns the new one, once they are on disk; the last ones make the upload whole.

    Raises Refused: offset, too_large, checksum, no_space, busy, ended.
    """
    _check_receiving(upload)
    unfinished = Partial(upload.pk)
    try:
        new_offset = unfinished.append(offset, pieces, upload.size_bytes - offset, checksum)
    except Refused:
        _check_still_receiving(upload, unfinished)
        raise
    if not _receiving(upload).update(offset=new_offset, active_at=Now()):
        _check_still_receiving(upload, unfinished)
        raise Refused("ended")  # cancelled and begun again: what has been written belongs to neither
    upload.offset = new_offset
    if new_offset == upload.size_bytes:
        finish(upload)
    return new_offset


def settle(upload: Upload) -> int:
    """Where to go on: after a crash between the bytes and their row, the bytes have it."""
    if upload.state != _State.RECEIVING or upload.cancelled_at is not None:
        return upload.offset
    try:
        length = Partial(upload.pk).length()
    except Refused:  # busy: the row says what was safe before
        return upload.offset
    if length != upload.offset and _receiving(upload).update(offset=length):
        logger.info("upload %s goes on at %d, not %d", upload.pk, length, upload.offset)
        upload.offset = length
    if length == upload.size_bytes:
        finish(upload)
    return upload.offset


def finish(upload: Upload) -> None:
    """All bytes are there: stores them under their hash, and has them read unless that was done before.

    Safe to run twice, and at the same time.
    """
    unfinished = Partial(upload.pk)
    try:
        media_type = sniff(unfinished.path, upload.name)
        sha256 = unfinished.sha256()
    except FileNotFoundError:
        upload.refresh_from_db()  # finished by somebody else; or else its bytes are lost, and have to be sent again
        if _receiving(upload).update(offset=0):
            logger.warning("upload %s lost its bytes and begins again", upload.pk)
            upload.offset = 0
        return
    if media_type is None:
        _refuse_type(upload)
        return
    with transaction.atomic():
        lock_content(sha256)
        locked = Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if locked is None or locked.state != _State.RECEIVING or locked.cancelled_at is not None:
            return
        storage.keep(sha256, unfinished.path)
        blob, is_new = Blob.objects.get_or_create(
            sha256=sha256, defaults={"size_bytes": upload.size_bytes, "media_type": media_type}
        )
        reading = readings.reading_of(blob, media_type, upload.name)
        upload.state, upload.blob, upload.reading = _State.WHOLE, blob, reading
        upload.save(update_fields=["state", "blob", "reading"])
        transaction.on_commit(unfinished.drop)
    logger.info("upload %s whole blob=%s known=%s", upload.pk, sha256[:12], not is_new)


def cancel(upload: Upload) -> None:
    """Calls off what has not ended; what has ended stays. A reading that others wait for goes on. Safe to repeat."""
    with transaction.atomic():
        locked = _locked(upload)
        if locked is None or locked.cancelled_at is not None:
            return
        if locked.state == _State.RECEIVING:
            _mark_cancelled(locked, offset=0)
            transaction.on_commit(Partial(locked.pk).drop)
        elif locked.reading is not None and locked.reading.state in OPEN:
            _mark_cancelled(locked)
            if not Upload.objects.filter(reading=locked.reading, cancelled_at=None).exists():
                readings.cancel(locked.reading)
    logger.info("upload %s cancelled", upload.pk)


def retry(upload: Upload) -> None:
    """A cancelled upload begins again at byte 0; a reading that failed, was cancelled or is partial, anew.

    Raises Refused: quota, too_many, not_retriable.
    """
    with transaction.atomic():
        locked = _locked(upload)
        if locked is None or locked.state == _State.REFUSED:
            raise Refused("not_retriable")
        if locked.state == _State.RECEIVING:
            if locked.cancelled_at is None:
                raise Refused("not_retriable")
            _check_room(locked.owner_id, locked.size_bytes)
            Upload.objects.filter(pk=locked.pk).update(cancelled_at=None, offset=0, active_at=Now())
            return
        assert locked.reading is not None, "whole uploads have a reading"
        was_cancelled = Upload.objects.filter(pk=locked.pk, cancelled_at__isnull=False).update(cancelled_at=None)
        if not readings.requeue(locked.reading) and not was_cancelled:
            raise Refused("not_retriable")


def remove(upload: Upload) -> None:
    """The upload is gone, and its bytes, reading and text with it where nobody else has them. Safe to repeat."""
    while not _try_remove(upload):
        upload.refresh_from_db(fields=["blob"])  # it became whole while we looked
    logger.info("upload %s removed", upload.pk)


def drop_bytes(sha256: str) -> bool:
    """Deletes stored bytes that no row names; whether there was nothing to keep them for."""
    with transaction.atomic():
        lock_content(sha256)
        if Blob.objects.filter(pk=sha256).exists():
            return False
        storage.drop(sha256)
        return True


def drop_unused(sha256: str) -> None:
    """Removes blob and readings that no upload has any more. The content's lock is held."""
    used = Upload.objects.filter(reading=OuterRef("pk"))
    unused = Reading.objects.select_for_update().filter(~Exists(used), blob=sha256)  # whoever holds one ends first
    if reading_ids := list(unused.values_list("pk", flat=True)):
        readings_removed.send(sender=Reading, reading_ids=reading_ids)
        Reading.objects.filter(pk__in=reading_ids).delete()
    if Blob.objects.filter(pk=sha256, uploads=None).delete()[0]:
        transaction.on_commit(partial(drop_bytes, sha256))


@transaction.atomic
def _try_remove(upload: Upload) -> bool:
    """Content first, row second: the order in which finish() locks. False where the row has another content now."""
    if upload.blob_id is not None:
        lock_content(upload.blob_id)
    locked = _locked(upload)
    if locked is None:
        return True
    if locked.blob_id != upload.blob_id:
        return False
    uploads_removed.send(sender=Upload, upload_ids=[locked.pk])
    locked.delete()
    transaction.on_commit(Partial(upload.pk).drop)
    if upload.blob_id is not None:
        drop_unused(upload.blob_id)
    return True


def _check_room(owner_id: UUID, size_bytes: int) -> None:
    """One at a time for each person: two announcements together must not pass where one would."""
    get_user_model().objects.select_for_update(no_key=True).get(pk=owner_id)
    receiving = Upload.objects.filter(owner=owner_id, state=_State.RECEIVING, cancelled_at=None)
    if receiving.count() >= MAX_RECEIVING:
        raise Refused("too_many", limit=MAX_RECEIVING)
    quota = settings.UPLOADS.quota_bytes
    if used_bytes(owner_id) + size_bytes > quota:
        raise Refused("quota", limit_bytes=quota)


def _check_receiving(upload: Upload) -> None:
    if upload.state != _State.RECEIVING or upload.cancelled_at is not None:
        raise Refused("ended")


def _check_still_receiving(upload: Upload, unfinished: Partial) -> None:
    """Cancelled or removed meanwhile: then its file, which may have been made anew, goes too."""
    if not _receiving(upload).exists():
        unfinished.drop()
        raise Refused("ended")


def _receiving(upload: Upload) -> QuerySet[Upload]:
    return Upload.objects.filter(pk=upload.pk, state=_State.RECEIVING, cancelled_at=None)


def _locked(upload: Upload) -> Upload | None:
    rows = Upload.objects.select_for_update(of=("self",)).select_related("reading")
    return rows.filter(pk=upload.pk).first()


def _mark_cancelled(upload: Upload, **changes: int) -> None:
    Upload.objects.filter(pk=upload.pk).update(cancelled_at=Now(), **changes)


def _refuse_type(upload: Upload) -> None:
    if _receiving(upload).update(state=_State.REFUSED, refusal="unsupported", offset=0):
        Partial(upload.pk).drop()
        upload.state, upload.refusal, upload.offset = _State.REFUSED, "unsupported", 0
        logger.info("upload %s refused: unsupported", upload.pk)
