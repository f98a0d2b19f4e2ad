"""What a branch gives one asker to read: the files of its questions, and of the collections that the asker may read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from chatapp.accounts.models import User
from chatapp.answers.events import Wire
from chatapp.conversations.models import Message
from chatapp.conversations.selectors import read_tree
from chatapp.files.access import collections
from chatapp.files.models import Attachment, MessageCollection
from chatapp.folders.given import collections_for
from search.retrieval import indexed_among
from uploads.models import ReadingState, Upload

READABLE = (ReadingState.READY, ReadingState.PARTLY)

Notice = tuple[str, Wire]


@dataclass(frozen=True, slots=True)
class Given:
    """An answer waits for `uploads`, which came with the questions. `collected` come from collections, and only what
    can be read at once: `notices` say what of a collection is left out.
    """

    uploads: tuple[Upload, ...] = ()
    collected: tuple[Upload, ...] = ()
    notices: tuple[Notice, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.uploads or self.collected or self.notices)


def given_above(reply: Message, asker_id: UUID | None) -> Given:
    """By the questions above a reply. The rights are the asker's as they are now; without an account there are none."""
    asker = User.objects.filter(pk=asker_id).first() if asker_id else None
    path = read_tree(reply.conversation_id).path(reply.id)[:-1]
    return given_on(path, asker, more_collections=collections_for(reply.conversation_id, asker))


def given_on(
    path: Sequence[UUID], asker: User | None, more_uploads: Iterable[Upload] = (), more_collections: Iterable[UUID] = ()
) -> Given:
    """By these messages, the oldest first, each content once; then by their folder, and a question not sent yet."""
    uploads = _each_content_once([*uploads_on(path), *more_uploads])
    names = _collections_on(path)
    open_to_asker = _open_among([*names, *more_collections], asker)
    notices: list[Notice] = [_closed(key, name) for key, name in names.items() if key not in open_to_asker]
    collected: list[Upload] = []
    for collection_id, name in open_to_asker.items():
        found, total = _readable_files(collection_id)
        collected += found
        if len(found) < total:
            notices.append(("collection_partly", {"name": name, "unread": total - len(found), "total": total}))
    collected = _each_content_once([*uploads, *collected])[len(uploads) :]
    return Given(tuple(uploads), tuple(collected), tuple(notices))


def uploads_on(path: Sequence[UUID]) -> list[Upload]:
    """The files of these messages."""
    place = {message_id: index for index, message_id in enumerate(path)}
    attached = Attachment.objects.filter(message__in=path, upload__isnull=False)
    ordered = sorted(
        attached.select_related("upload__reading", "upload__blob"),
        key=lambda each: (place[each.message_id], each.position),
    )
    return _each_content_once([each.upload for each in ordered if each.upload is not None])


def _collections_on(path: Sequence[UUID]) -> dict[UUID | str, str]:
    """Names by id, or by themselves where the collection was deleted."""
    place = {message_id: index for index, message_id in enumerate(path)}
    asked = MessageCollection.objects.filter(message__in=path)
    ordered = sorted(asked, key=lambda each: (place[each.message_id], each.pk))
    return {each.collection_id or each.name: each.name for each in ordered}


def _open_among(keys: Iterable[UUID | str], asker: User | None) -> dict[UUID, str]:
    """Those of the keys that are ids of collections that the asker may read, in their order, with their names."""
    ids = [key for key in dict.fromkeys(keys) if isinstance(key, UUID)]
    if not ids or asker is None:
        return {}
    names = dict(collections(asker).filter(pk__in=ids).values_list("pk", "name"))
    return {id: names[id] for id in ids if id in names}


def _closed(key: UUID | str, name: str) -> Notice:
    return ("collection_closed" if isinstance(key, UUID) else "collection_deleted", {"name": name})


def _readable_files(collection_id: UUID) -> tuple[list[Upload], int]:
    """What can be read at once, and how many whole files there are."""
    whole = Upload.objects.filter(
        collected__collection=collection_id, state=Upload.State.WHOLE, cancelled_at__isnull=True
    )
    uploads = list(whole.select_related("reading", "blob").order_by("collected__added_at", "collected__id"))
    indexed = indexed_among(upload.reading_id for upload in uploads if upload.reading_id)
    return [upload for upload in uploads if is_readable(upload) and upload.reading_id in indexed], len(uploads)


def is_readable(upload: Upload) -> bool:
    return upload.reading is not None and upload.reading.state in READABLE


def _each_content_once(uploads: Sequence[Upload]) -> list[Upload]:
    seen: dict[UUID, Upload] = {}
    for upload in uploads:
        seen.setdefault(upload.reading_id or upload.id, upload)
    return list(seen.values())
