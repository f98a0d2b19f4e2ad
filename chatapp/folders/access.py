"""The one place of rights on folders.

Its owner may do everything. A grant gives read (see it, put one's own chats into it and ask there with what it gives),
or write (change its name, instructions and collections; it includes read). Neither opens a chat that is in it, nor a
collection: those have rights of their own.
"""

from uuid import UUID

from django.db.models import OuterRef, QuerySet

from chatapp.accounts.grants import Access, one, open_to
from chatapp.accounts.models import User
from chatapp.folders.models import Folder, FolderGrant


def folders(viewer: User, access: Access = Access.READ) -> QuerySet[Folder]:
    """The folders that the viewer may use so."""
    return open_to(Folder.objects.all(), FolderGrant.objects.filter(folder=OuterRef("pk")), viewer, access)


def get_folder(viewer: User, folder_id: UUID, access: Access = Access.READ) -> Folder:
    """Raises NotFound."""
    return one(folders(viewer, access), folder_id)


def get_own_folder(viewer: User, folder_id: UUID) -> Folder:
    """One that is the viewer's to share and to delete. Raises NotFound."""
    return one(folders(viewer).filter(owner=viewer), folder_id)
