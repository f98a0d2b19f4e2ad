"""What is done to a collection. One transaction each; files that nothing else has any use for go after it."""

import logging
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.accounts.principals import Principal, columns_of
from chatapp.conversations.models import Message
from chatapp.errors import Invalid, NotFound
from chatapp.files.access import collections, get_collection, get_own_collection
from chatapp.files.models import Collection, CollectionFile, CollectionGrant, MessageCollection
from chatapp.files.removal import remove_unused
from uploads import services
from uploads.models import Upload

logger = logging.getLogger(__name__)

MAX_NAME = 100  # characters, the column's width
MAX_PER_MESSAGE = 20  # collections that one question asks; each costs the reader of the answer a chip


def create(viewer: User, name: str) -> Collection:
    """Raises Invalid."""
    collection = Collection.objects.create(owner=viewer, name=_clean(name))
    logger.info("collection %s made by=%s", collection.pk, viewer.pk)
    return collection


def rename(viewer: User, collection_id: UUID, name: str) -> None:
    """Raises NotFound, Invalid. Messages that have asked it keep the name that it had then."""
    collection = get_collection(viewer, collection_id, Access.WRITE)
    Collection.objects.filter(pk=collection.pk).update(name=_clean(name))


def begin_in(viewer: User, collection_id: UUID, name: str, size_bytes: int) -> Upload:
    """Announces a file that is in the collection from now on. Raises NotFound, Refused."""
    with transaction.atomic():
        collection = _held(collections(viewer, Access.WRITE), collection_id)
        upload = services.begin(viewer.pk, name, size_bytes, Upload.Origin.COLLECTION)
        CollectionFile.objects.create(collection=collection, upload=upload, added_by=viewer)
    return upload


def take_out(viewer: User, collection_id: UUID, upload_id: UUID) -> None:
    """The file stays where a message or another collection has it; else it is gone. Raises NotFound."""
    collection = get_collection(viewer, collection_id, Access.WRITE)
    if not CollectionFile.objects.filter(collection=collection, upload=upload_id).delete()[0]:
        raise NotFound
    remove_unused([upload_id])


def delete(viewer: User, collection_id: UUID) -> None:
    """The owner's alone; its files go with it where nothing else has them. Raises NotFound."""
    with transaction.atomic():
        collection = _held(collections(viewer).filter(owner=viewer), collection_id)
        upload_ids = list(collection.files.values_list("upload_id", flat=True))
        collection.delete()
    removed = remove_unused(upload_ids)
    logger.info("collection %s deleted by=%s files=%d", collection_id, viewer.pk, removed)


def share(viewer: User, collection_id: UUID, principal: Principal, access: Access) -> CollectionGrant:
    """With a person, a group, or everyone of the team (None); in place of what they had. Raises NotFound."""
    collection = get_own_collection(viewer, collection_id)
    grant, _made = CollectionGrant.objects.update_or_create(
        collection=collection, **columns_of(principal), defaults={"access": access}
    )
    return grant


def end_share(viewer: User, collection_id: UUID, grant_id: int) -> None:
    """Raises NotFound."""
    if not get_own_collection(viewer, collection_id).grants.filter(pk=grant_id).delete()[0]:
        raise NotFound


def ask_collections(viewer: User, message: Message, collection_ids: Sequence[UUID]) -> None:
    """The message asks these, each once, in the order given. Raises Invalid for one that the viewer may not read."""
    ids = list(dict.fromkeys(collection_ids))
    if len(ids) > MAX_PER_MESSAGE:
        words = _("A question can ask %(limit)s collections; this one asks %(count)s.")
        raise Invalid("collections", words % {"limit": MAX_PER_MESSAGE, "count": len(ids)}, code="too_many")
    held = collections(viewer).order_by("pk").select_for_update(of=("self",), no_key=True).in_bulk(ids)
    if len(held) < len(ids):
        words = _("A collection is not there any more, or not shared with you.")
        raise Invalid("collections", words, code="not_found")
    MessageCollection.objects.bulk_create(
        MessageCollection(message=message, collection=held[id], name=held[id].name) for id in ids
    )


def _held(found: QuerySet[Collection], collection_id: UUID) -> Collection:
    """Until the end of the transaction, so that nothing comes in while it is deleted. Raises NotFound."""
    collection = found.select_for_update(of=("self",), no_key=True).filter(pk=collection_id).first()
    if collection is None:
        raise NotFound
    return collection


def _clean(name: str) -> str:
    name = " ".join(name.replace("\0", "").split())
    if not 1 <= len(name) <= MAX_NAME:
        words = _("The name of a collection has 1 to %(limit)s characters; this one has %(length)s.")
        raise Invalid("name", words % {"limit": MAX_NAME, "length": len(name)})
    return name
