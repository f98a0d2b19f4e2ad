"""What a person owns, and what becomes of it when they go: it is somebody else's, or it is gone.

Safe to run again after a crash in the middle. What they have put into chats and collections of others stays there: it
becomes the property of whoever owns the chat or the collection.
"""

import logging
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q, Sum

from chatapp.accounts.models import User
from chatapp.answers import doorbell
from chatapp.conversations.models import Conversation, Grant
from chatapp.exports import archives
from chatapp.files.models import Attachment, Collection, CollectionFile, CollectionGrant
from chatapp.folders.models import FolderGrant
from chatapp.presets.models import PresetGrant
from uploads import services
from uploads.models import Upload

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Belongings:
    num_conversations: int
    num_collections: int
    num_files: int
    size_bytes: int

    def __bool__(self) -> bool:
        return bool(self.num_conversations or self.num_collections or self.num_files)


def belongings_of(person: User) -> Belongings:
    """Without what they have deleted, and without unfinished uploads: those go in any case."""
    files = Upload.objects.filter(owner=person, state=Upload.State.WHOLE)
    return Belongings(
        num_conversations=Conversation.objects.filter(owner=person, deleted_at=None, is_temporary=False).count(),
        num_collections=Collection.objects.filter(owner=person).count(),
        num_files=files.count(),
        size_bytes=files.aggregate(sum=Sum("size_bytes"))["sum"] or 0,
    )


def hand_over(person: User, heir: User) -> None:
    """Everything, whatever the heir's quota says. Grants that the heir had on it are theirs as owner now."""
    _drop_rubbish(person)
    with transaction.atomic():
        conversations = Conversation.objects.filter(owner=person)
        collections = Collection.objects.filter(owner=person)
        Grant.objects.filter(conversation__in=conversations, user=heir).delete()
        CollectionGrant.objects.filter(collection__in=collections, user=heir).delete()
        FolderGrant.objects.filter(folder__owner=person, user=heir).delete()
        PresetGrant.objects.filter(preset__owner=person, user=heir).delete()
        person.folders.update(owner=heir)
        person.presets.update(owner=heir)
        counts = [rows.update(owner=heir) for rows in (conversations, collections, person.uploads.all())]
        transaction.on_commit(lambda: doorbell.ring_list_blocking(heir.pk))
    logger.info("person %s handed to %s conversations=%d collections=%d files=%d", person.pk, heir.pk, *counts)


def delete(person: User) -> None:
    _drop_rubbish(person)
    for conversation in Conversation.objects.filter(owner=person).only("id").iterator():
        conversation.delete()
    Collection.objects.filter(owner=person).delete()
    removed = 0
    for upload in Upload.objects.filter(owner=person):
        keeper = _keeper_of(upload)
        if keeper is not None:
            Upload.objects.filter(pk=upload.pk).update(owner=keeper)
        else:
            services.remove(upload)
            removed += 1
    logger.info("person %s had files removed=%d", person.pk, removed)


def _drop_rubbish(person: User) -> None:
    """What they have deleted or not finished, or wanted to leave nothing behind, is nobody's to inherit."""
    rubbish = Q(deleted_at__isnull=False) | Q(is_temporary=True)
    for conversation in Conversation.objects.filter(rubbish, owner=person).only("id").iterator():
        conversation.delete()
    archives.remove_all_of(person)
    for upload in Upload.objects.filter(owner=person).exclude(state=Upload.State.WHOLE):
        services.remove(upload)


def _keeper_of(upload: Upload) -> User | None:
    """Whose chat or collection still has it, the oldest first."""
    attachments = Attachment.objects.filter(upload=upload, message__conversation__deleted_at=None)
    carried = attachments.select_related("message__conversation__owner").order_by("message__created_at").first()
    if carried is not None:
        return carried.message.conversation.owner
    held = CollectionFile.objects.filter(upload=upload).select_related("collection__owner").first()
    return held.collection.owner if held is not None else None
