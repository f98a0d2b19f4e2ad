"""The one place of rights on files: a file is its owner's; who may read a message that carries it may read it too."""

from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from chatapp.accounts.models import User
from chatapp.conversations.access import allowed
from chatapp.errors import NotFound
from chatapp.files.models import Attachment
from uploads.models import Upload


def readable(viewer: User) -> QuerySet[Upload]:
    if not viewer.is_active:
        return Upload.objects.none()
    carried = Attachment.objects.filter(upload=OuterRef("pk"), message__conversation__in=allowed(viewer))
    return Upload.objects.filter(Q(owner=viewer) | Exists(carried))


def get_upload(viewer: User, upload_id: UUID) -> Upload:
    """One that the viewer may read. Raises NotFound."""
    return _one(readable(viewer), upload_id)


def get_own(viewer: User, upload_id: UUID) -> Upload:
    """One that is the viewer's to send, retry, cancel and remove. Raises NotFound."""
    return _one(readable(viewer).filter(owner=viewer), upload_id)


def _one(uploads: QuerySet[Upload], upload_id: UUID) -> Upload:
    upload = uploads.select_related("blob", "reading").filter(pk=upload_id).first()
    if upload is None:
        raise NotFound
    return upload
