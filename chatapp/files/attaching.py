"""Files of a message: joined to it in the transaction that makes it."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import User
from chatapp.conversations.models import Message
from chatapp.errors import Invalid, Words
from chatapp.files.access import readable
from chatapp.files.models import Attachment
from uploads.models import Upload


class FilesRefused(Invalid):
    """Names the files that cannot be sent along: to people, and by their ids to programs."""

    def __init__(self, code: str, message: Words, upload_ids: Iterable[UUID]) -> None:
        super().__init__("uploads", message, code=code)
        self._upload_ids = upload_ids

    def to_wire(self) -> dict[str, object]:
        return {**super().to_wire(), "uploads": [str(id) for id in self._upload_ids]}


def check_count(upload_ids: Sequence[UUID]) -> None:
    limit = settings.CONFIG.uploads_per_message
    if len(set(upload_ids)) > limit:
        words = _("A message can carry %(limit)s files; this one has %(count)s.")
        raise Invalid("uploads", words % {"limit": limit, "count": len(set(upload_ids))}, code="too_many")


def attach(viewer: User, message: Message, upload_ids: Sequence[UUID]) -> None:
    """In the order given, each file once; only what the viewer may read, and whole. Raises Invalid, FilesRefused.

    A transaction is open: the rows are held until its end, so that no file is removed on its way into a message.
    """
    check_count(upload_ids)
    ids = list(dict.fromkeys(upload_ids))
    held = readable(viewer).order_by("pk").select_for_update(of=("self",), no_key=True).in_bulk(ids)
    if missing := [id for id in ids if id not in held]:
        raise FilesRefused("not_found", _("A file is not there any more, or not shared with you."), missing)
    if unfit := [held[id] for id in ids if not _can_be_sent(held[id])]:
        names = ", ".join(upload.name for upload in unfit)
        words = _("These files cannot be sent along: %(names)s.") % {"names": names}
        raise FilesRefused("unfinished", words, [upload.pk for upload in unfit])
    Attachment.objects.bulk_create(
        Attachment(message=message, upload=held[id], position=position, name=held[id].name)
        for position, id in enumerate(ids)
    )


def _can_be_sent(upload: Upload) -> bool:
    """Whole. Whether it could be read is seen when the answer is made, which says what it had to leave out."""
    return upload.state == Upload.State.WHOLE and upload.cancelled_at is None
