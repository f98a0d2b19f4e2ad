"""A person's own files: how they are, which chats use them, and what stands in them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet

from chatapp.accounts.models import User
from chatapp.conversations.access import allowed
from chatapp.evidence.places import place_words
from chatapp.files.models import Attachment
from chatapp.files.states import chip_state
from search.retrieval import find
from uploads.models import Upload
from uploads.selectors import used_bytes

PAGE = 50
NUM_FOUND = 20  # passages looked at for one search; several may stand in one file
EXCERPT = 240  # characters


@dataclass(frozen=True, slots=True)
class Use:
    """A chat that one may read and whose messages carry the file."""

    conversation_id: UUID
    title: str


@dataclass(frozen=True, slots=True)
class Passage:
    words: str  # where it stands
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    id: UUID
    name: str
    size_bytes: int
    media_type: str
    state: str
    reason: str
    created_at: datetime
    uses: list[Use]
    passage: Passage | None  # the best of a search


@dataclass(frozen=True, slots=True)
class Library:
    entries: list[Entry]
    page: Page[Upload]
    query: str
    used_bytes: int


def read_library(viewer: User, query: str, page_number: str) -> Library:
    """The newest first; of a search, the files whose text or name answers it, the best first."""
    query = query.strip()
    own = Upload.objects.filter(owner=viewer).select_related("blob", "reading").order_by("-created_at", "id")
    passages = _found(own, query) if query else {}
    uploads = _matching(own, query, passages) if query else own
    page = Paginator(uploads, PAGE).get_page(page_number)
    uses = _uses(viewer, [upload.pk for upload in page])
    entries = [_entry(upload, uses[upload.pk], passages.get(upload.reading_id)) for upload in page]
    return Library(entries, page, query, used_bytes(viewer.pk))


def _found(own: QuerySet[Upload], query: str) -> dict[UUID | None, Passage]:
    """By reading, its best passage; the best reading first."""
    scope = own.filter(reading__isnull=False).order_by().values("reading_id")
    best: dict[UUID | None, Passage] = {}
    for hit in find(query, scope, limit=NUM_FOUND):
        text = " ".join(hit.text.split())[:EXCERPT]
        best.setdefault(hit.source_id, Passage(place_words(hit.place), text))
    return best


def _matching(own: QuerySet[Upload], query: str, passages: dict[UUID | None, Passage]) -> list[Upload]:
    rank = {reading_id: place for place, reading_id in enumerate(passages)}
    by_text = sorted(own.filter(reading__in=list(passages)), key=lambda upload: rank[upload.reading_id])
    by_name = own.filter(name__icontains=query).exclude(pk__in=[upload.pk for upload in by_text])
    return [*by_name, *by_text]


def _uses(viewer: User, upload_ids: Sequence[UUID]) -> dict[UUID, list[Use]]:
    carried = Attachment.objects.filter(upload__in=upload_ids, message__conversation__in=allowed(viewer))
    rows = carried.values_list("upload_id", "message__conversation_id", "message__conversation__title")
    uses: dict[UUID, list[Use]] = defaultdict(list)
    for upload_id, conversation_id, title in rows.order_by(
        "upload_id", "-message__conversation__updated_at"
    ).distinct():
        if upload_id is not None and all(use.conversation_id != conversation_id for use in uses[upload_id]):
            uses[upload_id].append(Use(conversation_id, title))
    return uses


def _entry(upload: Upload, uses: list[Use], passage: Passage | None) -> Entry:
    state = chip_state(upload)
    return Entry(
        id=upload.pk,
        name=upload.name,
        size_bytes=upload.size_bytes,
        media_type=state["media_type"],
        state=state["state"],
        reason=state["reason"],
        created_at=upload.created_at,
        uses=uses,
        passage=passage,
    )
