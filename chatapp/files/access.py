"""The one place of rights on files and collections.

A file is its owner's; who may read a message that carries it, or a collection that holds it, may read it too. A
collection is its owner's, to share and to delete; a grant gives read, or write (add, take out, rename; it includes
read), to a person, to a group, or to everyone; guests are not of the team, so `everyone` leaves them out. A message
that asks a collection gives no right on it. Inactive people have no rights at all.
"""

from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from chatapp.accounts.grants import Access, one, open_to
from chatapp.accounts.models import User
from chatapp.conversations.access import allowed
from chatapp.files.models import Attachment, Collection, CollectionFile, CollectionGrant
from uploads.models import Upload


def readable(viewer: User) -> QuerySet[Upload]:
    if not viewer.is_active:
        return Upload.objects.none()
    carried = Attachment.objects.filter(upload=OuterRef("pk"), message__conversation__in=allowed(viewer))
    collected = CollectionFile.objects.filter(upload=OuterRef("pk"), collection__in=collections(viewer))
    return Upload.objects.filter(Q(owner=viewer) | Exists(carried) | Exists(collected))


def collections(viewer: User, access: Access = Access.READ) -> QuerySet[Collection]:
    """The collections that the viewer may use so."""
    grants = CollectionGrant.objects.filter(collection=OuterRef("pk"))
    return open_to(Collection.objects.all(), grants, viewer, access)


def get_upload(viewer: User, upload_id: UUID) -> Upload:
    """One that the viewer may read. Raises NotFound."""
    return one(_with_reading(readable(viewer)), upload_id)


def get_own(viewer: User, upload_id: UUID) -> Upload:
    """One that is the viewer's to send, retry, cancel and remove. Raises NotFound."""
    return one(_with_reading(readable(viewer).filter(owner=viewer)), upload_id)


def get_collection(viewer: User, collection_id: UUID, access: Access = Access.READ) -> Collection:
    """Raises NotFound."""
    return one(collections(viewer, access), collection_id)


def get_own_collection(viewer: User, collection_id: UUID) -> Collection:
    """One that is the viewer's to share and to delete. Raises NotFound."""
    return one(collections(viewer).filter(owner=viewer), collection_id)


def _with_reading(uploads: QuerySet[Upload]) -> QuerySet[Upload]:
    return uploads.select_related("blob", "reading")
