"""Files and collections as their pages show them. Every selector takes the viewer first."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.conversations.access import allowed
from chatapp.evidence.places import place_words
from chatapp.files.access import collections, get_collection, get_own, readable
from chatapp.files.models import Attachment, Collection, CollectionFile
from chatapp.files.states import ChipState, chip_state
from search.retrieval import find, progress
from uploads.models import OPEN, Upload
from uploads.selectors import used_bytes

PAGE = 50
MOST_HITS = 20
MAX_QUERY = 500  # characters


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is used: a chat or a collection that the viewer may open."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class FileRow:
    state: ChipState
    created_at: datetime
    owner_name: str  # empty for the viewer's own
    is_moving: bool
    chats: tuple[Place, ...] = ()
    collections: tuple[Place, ...] = ()
    num_other_uses: int = 0  # in chats and collections that the viewer may not open

    @property
    def is_used(self) -> bool:
        return bool(self.chats or self.collections or self.num_other_uses)


@dataclass(frozen=True, slots=True)
class FoundPassage:
    upload_id: UUID
    passage_id: int
    name: str
    place: str
    headings: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """`by_meaning` is False where only words could be searched: the encoder was out of reach."""

    query: str
    named: list[FileRow]
    passages: tuple[FoundPassage, ...]
    by_meaning: bool


@dataclass(frozen=True, slots=True)
class CollectionRow:
    id: UUID
    name: str
    num_files: int
    owner_name: str  # empty for the viewer's own


@dataclass(frozen=True, slots=True)
class Quota:
    used_bytes: int
    all_bytes: int

    @property
    def percent(self) -> int:
        return min(100, round(100 * self.used_bytes / self.all_bytes))


class CollectionChoice(TypedDict):
    id: str
    name: str
    num_files: int


def list_collections(viewer: User) -> list[CollectionRow]:
    """The viewer's own first."""
    found = collections(viewer).select_related("owner").annotate(num_files=Count("files", distinct=True))
    rows = [
        CollectionRow(each.pk, each.name, each.num_files, _owner_name(viewer, each.owner))
        for each in found.order_by("name", "pk")
    ]
    return sorted(rows, key=lambda row: bool(row.owner_name))


def collection_choices(viewer: User) -> list[CollectionChoice]:
    return [{"id": str(row.id), "name": row.name, "num_files": row.num_files} for row in list_collections(viewer)]


def list_own(viewer: User, page: int = 1) -> "Page[Upload]":
    """The newest first."""
    return Paginator(_shown(Upload.objects.filter(owner=viewer)).order_by("-created_at", "pk"), PAGE).get_page(page)


def list_collected(viewer: User, collection_id: UUID, page: int = 1) -> "Page[Upload]":
    """By name. Raises NotFound."""
    collection = get_collection(viewer, collection_id)
    uploads = _shown(Upload.objects.filter(collected__collection=collection))
    return Paginator(uploads.order_by("name", "pk"), PAGE).get_page(page)


def own_file(viewer: User, upload_id: UUID) -> FileRow:
    """Raises NotFound."""
    return file_rows(viewer, [get_own(viewer, upload_id)])[0]


def file_rows(viewer: User, uploads: Iterable[Upload]) -> list[FileRow]:
    """Call it in the language of the reader."""
    uploads = list(uploads)
    ids = [upload.pk for upload in uploads]
    chats, all_chats = _chats_of(viewer, ids)
    holders, all_holders = _collections_of(viewer, ids)
    return [
        FileRow(
            state=chip_state(upload),
            created_at=upload.created_at,
            owner_name=_owner_name(viewer, upload.owner),
            is_moving=_is_moving(upload),
            chats=tuple(chats[upload.pk]),
            collections=tuple(holders[upload.pk]),
            num_other_uses=_rest(chats, all_chats, upload.pk) + _rest(holders, all_holders, upload.pk),
        )
        for upload in uploads
    ]


def search_own(viewer: User, query: str) -> Found:
    return _search(viewer, Upload.objects.filter(owner=viewer), query)


def search_collection(viewer: User, collection_id: UUID, query: str) -> Found:
    """Raises NotFound."""
    collection = get_collection(viewer, collection_id)
    return _search(viewer, readable(viewer).filter(collected__collection=collection), query)


def vectors_made(collection: Collection) -> tuple[int, int]:
    """How many passages of it can be found by their meaning, and how many there are."""
    whole = Upload.objects.filter(collected__collection=collection, reading__isnull=False)
    return progress(set(whole.values_list("reading_id", flat=True)))


def quota_of(viewer: User) -> Quota:
    return Quota(used_bytes(viewer.pk), settings.UPLOADS.quota_bytes)


def may_write(viewer: User, collection: Collection) -> bool:
    return collections(viewer, Access.WRITE).filter(pk=collection.pk).exists()


def _search(viewer: User, uploads: QuerySet[Upload], query: str) -> Found:
    """The scope goes into the query; a content that several files share is told by the name of one of them."""
    query = query.strip()[:MAX_QUERY]
    by_name = _shown(uploads.filter(name__icontains=query)).order_by("-created_at", "pk")[:MOST_HITS]
    scope = uploads.filter(reading__isnull=False, cancelled_at__isnull=True)
    hits = find(query, scope.values("reading_id"), limit=MOST_HITS)
    sources = {hit.source_id for hit in hits}
    named = {upload.reading_id: upload for upload in scope.filter(reading__in=sources).order_by("-created_at")}
    passages = tuple(
        FoundPassage(
            named[hit.source_id].pk,
            hit.passage_id,
            named[hit.source_id].name,
            place_words(hit.place),
            hit.headings,
            hit.text,
        )
        for hit in hits
        if hit.source_id in named
    )
    return Found(query, file_rows(viewer, by_name), passages, hits.by_meaning)


def _shown(uploads: QuerySet[Upload]) -> QuerySet[Upload]:
    return uploads.select_related("blob", "reading", "owner")


def _is_moving(upload: Upload) -> bool:
    if upload.cancelled_at is not None or upload.state == Upload.State.REFUSED:
        return False
    return upload.reading is None or upload.reading.state in OPEN


def _chats_of(viewer: User, upload_ids: Sequence[UUID]) -> tuple[dict[UUID, list[Place]], dict[UUID, int]]:
    """Of each file those that the viewer may open, and how many there are. Deleted ones may still be restored."""
    carried = Attachment.objects.filter(upload__in=upload_ids)
    pairs = set(carried.values_list("upload_id", "message__conversation_id"))
    titles = dict(allowed(viewer).filter(pk__in={chat for _upload, chat in pairs}).values_list("pk", "title"))
    return _placed([(upload, chat) for upload, chat in pairs if upload], titles, _("New chat"))


def _collections_of(viewer: User, upload_ids: Sequence[UUID]) -> tuple[dict[UUID, list[Place]], dict[UUID, int]]:
    pairs = set(CollectionFile.objects.filter(upload__in=upload_ids).values_list("upload_id", "collection_id"))
    names = dict(collections(viewer).filter(pk__in={held for _upload, held in pairs}).values_list("pk", "name"))
    return _placed(list(pairs), names, "")


def _placed(
    pairs: Iterable[tuple[UUID, UUID]], names: dict[UUID, str], untitled: str
) -> tuple[dict[UUID, list[Place]], dict[UUID, int]]:
    places: dict[UUID, list[Place]] = defaultdict(list)
    counts: dict[UUID, int] = defaultdict(int)
    for upload_id, place_id in pairs:
        counts[upload_id] += 1
        if place_id in names:
            places[upload_id].append(Place(place_id, names[place_id] or untitled))
    for found in places.values():
        found.sort(key=lambda place: (place.name, place.id))
    return places, counts


def _rest(shown: dict[UUID, list[Place]], counts: dict[UUID, int], upload_id: UUID) -> int:
    return counts[upload_id] - len(shown[upload_id])


def _owner_name(viewer: User, owner: User) -> str:
    return "" if owner.pk == viewer.pk else owner.name
