"""Files onto a question, in the transaction that asks it."""

from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import User
from chatapp.conversations.models import Message
from chatapp.errors import Invalid
from chatapp.files.access import readable
from chatapp.files.models import Attachment
from uploads.models import Upload


def attach(viewer: User, message: Message, upload_ids: Sequence[UUID]) -> None:
    """In this order. Raises Invalid, naming what is too many, not there, or not whole."""
    limit = settings.CONFIG.uploads_per_message
    if len(upload_ids) > limit:
        words = _("A question takes at most %(limit)s files; this one has %(count)s.")
        raise Invalid("uploads", words % {"limit": limit, "count": len(upload_ids)}, code="too_many")
    if len(set(upload_ids)) < len(upload_ids):
        raise Invalid("uploads", _("A file can come with a question only once."))
    found = readable(viewer).select_for_update(of=("self",)).in_bulk(list(upload_ids))
    uploads = [_usable(found.get(upload_id)) for upload_id in upload_ids]
    Attachment.objects.bulk_create(
        Attachment(message=message, upload=upload, position=position, name=upload.name)
        for position, upload in enumerate(uploads)
    )


def _usable(upload: Upload | None) -> Upload:
    if upload is None:
        raise Invalid("uploads", _("A file of this question has been deleted, or is not shared with you."))
    if upload.state != Upload.State.WHOLE or upload.cancelled_at is not None:
        words = _("“%(name)s” has not been uploaded. Try it again, or remove it.")
        raise Invalid("uploads", words % {"name": upload.name}, code="not_whole")
    return upload
