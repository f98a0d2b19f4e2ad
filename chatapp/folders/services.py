"""What is done to a folder, and which chats are put into it. One transaction each."""

import logging
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.accounts.principals import Principal, columns_of
from chatapp.answers import doorbell
from chatapp.conversations.access import owned
from chatapp.errors import Invalid, NotFound
from chatapp.files.access import get_collection
from chatapp.folders.access import folders, get_folder, get_own_folder
from chatapp.folders.models import Folder, FolderCollection

logger = logging.getLogger(__name__)

MAX_NAME = 100  # characters, the column's width
MAX_INSTRUCTIONS = 20_000  # characters: they stand before every question, and every answer pays for them
MAX_COLLECTIONS = 20  # as many as one question asks


def create(viewer: User, name: str) -> Folder:
    """Raises Invalid."""
    folder = Folder.objects.create(owner=viewer, name=_clean(name))
    logger.info("folder %s made by=%s", folder.pk, viewer.pk)
    return folder


def change(viewer: User, folder_id: UUID, name: str, instructions: str) -> None:
    """Raises NotFound, Invalid."""
    folder = get_folder(viewer, folder_id, Access.WRITE)
    instructions = instructions.replace("\0", "").strip()
    if len(instructions) > MAX_INSTRUCTIONS:
        words = _("Instructions have at most %(limit)s characters; these have %(length)s.")
        raise Invalid("instructions", words % {"limit": MAX_INSTRUCTIONS, "length": len(instructions)})
    Folder.objects.filter(pk=folder.pk).update(name=_clean(name), instructions=instructions)


def add_collection(viewer: User, folder_id: UUID, collection_id: UUID) -> None:
    """Safe to repeat. Raises NotFound, Invalid."""
    folder, collection = get_folder(viewer, folder_id, Access.WRITE), get_collection(viewer, collection_id)
    if folder.collections.exclude(collection=collection).count() >= MAX_COLLECTIONS:
        raise Invalid("collection", _("A folder takes at most %(limit)s collections.") % {"limit": MAX_COLLECTIONS})
    FolderCollection.objects.get_or_create(folder=folder, collection=collection)


def take_collection_out(viewer: User, folder_id: UUID, collection_id: UUID) -> None:
    """The collection itself stays. Raises NotFound."""
    folder = get_folder(viewer, folder_id, Access.WRITE)
    if not folder.collections.filter(collection=collection_id).delete()[0]:
        raise NotFound


def share(viewer: User, folder_id: UUID, principal: Principal, access: Access) -> None:
    """With a person, a group, or everyone of the team (None); in place of what they had. Raises NotFound."""
    folder = get_own_folder(viewer, folder_id)
    folder.grants.update_or_create(**columns_of(principal), defaults={"access": access})
    logger.info("folder %s shared by=%s", folder_id, viewer.pk)


def end_share(viewer: User, folder_id: UUID, grant_id: int) -> None:
    """Chats that the others had in it stay theirs, in their list again. Raises NotFound."""
    if not get_own_folder(viewer, folder_id).grants.filter(pk=grant_id).delete()[0]:
        raise NotFound


def delete(viewer: User, folder_id: UUID) -> None:
    """The owner's alone; its chats go back into the lists of those whose they are. Raises NotFound."""
    get_own_folder(viewer, folder_id).delete()
    logger.info("folder %s deleted by=%s", folder_id, viewer.pk)


def put(viewer: User, conversation_ids: Sequence[UUID], folder_id: UUID | None) -> None:
    """The viewer's own chats, all or none, into a folder that they may read; out of any with None. Raises NotFound."""
    with transaction.atomic():
        if folder_id is not None and not folders(viewer).filter(pk=folder_id).exists():
            raise NotFound
        own = owned(viewer).filter(pk__in=conversation_ids, deleted_at=None)
        if own.count() != len(set(conversation_ids)):
            raise NotFound
        own.update(folder=folder_id)
        transaction.on_commit(partial(doorbell.ring_list_blocking, viewer.pk))


def _clean(name: str) -> str:
    name = " ".join(name.replace("\0", "").split())
    if not 1 <= len(name) <= MAX_NAME:
        words = _("The name of a folder has 1 to %(limit)s characters; this one has %(length)s.")
        raise Invalid("name", words % {"limit": MAX_NAME, "length": len(name)})
    return name
