"""What an answer is given to read: the files of its branch, whole where they fit, else the passages found for it.

The same plan is told before sending (`foresee`) and carried out when the answer is prepared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from chatapp.answers.events import Wire
from chatapp.answers.given import READABLE, Given, is_readable, uploads_on
from chatapp.answers.pictures import is_seen
from chatapp.context.counting import Counter
from chatapp.context.sources import Mode, Passage, cost, fitting, place_words
from chatapp.conversations.models import Message
from chatapp.conversations.selectors import read_tree
from chatapp.evidence.services import Draft
from search.retrieval import Hit, find, indexed_among, whole
from uploads.models import OPEN, ReadingState, Upload

# Passages for one question: more of them hide the good ones from a model, and each costs the reader a second.
MOST_PASSAGES = 40
MOST_PASSAGE_TOKENS = 12_000
MOST_LISTED = 8  # of whole files, where a model cites none of them
# The demonstration model reads some 1,500 tokens a second on two cores: its first word comes within two seconds.
MOST_DEMO_TOKENS = 2_000
# A text that is surely too long is not fetched and counted: nothing packs more characters into a token.
MOST_CHARACTERS_PER_TOKEN = 8.0
# Of what is read part by part, some 4,000 pages: hours of a model's time. A collection may hold far more.
MOST_CHARACTERS_IN_PARTS = 8_000_000
# "And the second one?" finds nothing by itself: so short a question is looked for with the one before it.
SHORT_QUESTION = 40


@dataclass(frozen=True, slots=True)
class File:
    """A file of the branch that has been read. `source_id` is its reading's: what passages are filed under."""

    upload_id: UUID
    source_id: UUID
    sha256: str
    name: str
    unit: str
    total: int
    characters: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read, and how much of it. `read` and `total` count pages, or slides, sheets and parts."""

    mode: Mode = ""
    drafts: tuple[Draft, ...] = ()
    read: int = 0
    total: int = 0
    tokens: int = 0
    room_tokens: int = 0
    notes: tuple[str, ...] = ()
    notices: tuple[tuple[str, Wire], ...] = field(default=())


def count_moving(reply: Message) -> tuple[int, int]:
    """How many files of the branch's questions are still to be read, and how many there are."""
    uploads = uploads_on(read_tree(reply.conversation_id).path(reply.id)[:-1])
    return count_moving_of(uploads), len(uploads)


def count_moving_of(uploads: Sequence[Upload]) -> int:
    return len(_moving(uploads))


def plan_for(
    given: Given,
    question: str,
    room_tokens: int,
    counter: Counter,
    *,
    is_demo: bool,
    is_read_in_parts: bool = False,
) -> Plan:
    """`room_tokens` is what the prompt may hold beside the question. In parts, all is read that does not fit."""
    moving = {upload.id for upload in _moving(given.uploads)}
    readable = [upload for upload in given.uploads if is_readable(upload) and upload.id not in moving]
    files = [_file(upload) for upload in [*readable, *given.collected]]
    notices = [notice for upload in given.uploads if (notice := _unread(upload, upload.id in moving))]
    notices += given.notices
    if not files:
        return Plan(notices=tuple(notices))
    total = sum(file.total for file in files)
    if plan := _whole(files, room_tokens, counter, total):
        words: Wire = {"pages": total, "tokens": plan.tokens, "room": room_tokens}
        return _with_notices(plan, [*notices, ("files_whole", words)])
    if is_read_in_parts and _may_be_read_in_parts(files):
        return Plan("notes", _everything(files), total, total, room_tokens=room_tokens)
    plan = _passages(files, question, room_tokens, counter, total, is_demo)
    words = {"read": plan.read, "pages": total, "passages": len(plan.drafts)}
    return _with_notices(plan, [*notices, ("files_passages", words)])


def with_best_told(plan: Plan, question: str) -> Plan:
    """Of whole files the passages that fit the question best are told apart: they are listed below the answer."""
    if plan.mode != "whole":
        return plan
    hits = find(question, {draft.source_id for draft in plan.drafts}, limit=MOST_LISTED, only_words=True)
    scores = {(hit.source_id, hit.text): hit.score for hit in hits}
    return replace(plan, drafts=tuple(replace(d, score=scores.get((d.source_id, d.text))) for d in plan.drafts))


def without_words_on_pictures(plan: Plan) -> Plan:
    """For a model that sees: a picture without text was not left out, it was looked at."""
    kept = [(code, params) for code, params in plan.notices if not (code == "file_unreadable" and params["is_picture"])]
    return _with_notices(plan, kept)


def passages_of(drafts: Sequence[Draft]) -> tuple[Passage, ...]:
    return tuple(
        Passage(number, draft.name, place_words(draft.place), draft.text, draft.headings)
        for number, draft in enumerate(drafts, start=1)
    )


def query_of(question: str, earlier: Sequence[str]) -> str:
    """What is looked for: the question, after the one before it where it is too short to say what it is about."""
    return f"{earlier[-1]} {question}" if earlier and len(question) < SHORT_QUESTION else question


def _whole(files: Sequence[File], room_tokens: int, counter: Counter, total: int) -> Plan | None:
    if sum(file.characters for file in files) > room_tokens * MOST_CHARACTERS_PER_TOKEN:
        return None
    drafts = _everything(files)
    tokens = sum(cost(passage, counter) for passage in passages_of(drafts))
    if tokens > room_tokens:
        return None
    return Plan("whole", drafts, total, total, tokens, room_tokens)


def _may_be_read_in_parts(files: Sequence[File]) -> bool:
    return sum(file.characters for file in files) <= MOST_CHARACTERS_IN_PARTS


def _everything(files: Sequence[File]) -> tuple[Draft, ...]:
    of_source = {file.source_id: file for file in files}
    return tuple(_draft(hit, of_source[hit.source_id], None) for hit in whole(of_source))


def _passages(
    files: Sequence[File], question: str, room_tokens: int, counter: Counter, total: int, is_demo: bool
) -> Plan:
    """The best that fit, told to the model in the order of the documents."""
    of_source = {file.source_id: file for file in files}
    hits = find(question, list(of_source), limit=MOST_PASSAGES)
    budget = min(room_tokens, MOST_DEMO_TOKENS if is_demo else MOST_PASSAGE_TOKENS)
    drafts = tuple(_draft(hit, of_source[hit.source_id], hit.score) for hit in hits)
    best = hits[: fitting(passages_of(drafts), budget, counter)]
    order = list(of_source)
    best = sorted(best, key=lambda hit: (order.index(hit.source_id), hit.ordinal))
    drafts = tuple(_draft(hit, of_source[hit.source_id], hit.score) for hit in best)
    tokens = sum(cost(passage, counter) for passage in passages_of(drafts))
    return Plan("passages", drafts, _pages_read(best), total, tokens, room_tokens)


def _pages_read(hits: Sequence[Hit]) -> int:
    return len({(hit.source_id, _unit_of(hit.place, hit.ordinal)) for hit in hits})


def _unit_of(place: dict[str, Any], ordinal: int) -> object:
    """The page, slide or sheet of a place; a document without them counts its passages."""
    return next((place[name] for name in ("page", "slide", "sheet") if name in place), ordinal)


def _draft(hit: Hit, file: File, score: float | None) -> Draft:
    return Draft(
        file.upload_id, file.source_id, file.sha256, file.name, tuple(hit.headings), hit.place, hit.text, score
    )


def _file(upload: Upload) -> File:
    reading, blob = upload.reading, upload.blob
    assert reading is not None and blob is not None, "only a whole file has a reading"
    return File(upload.id, reading.id, blob.sha256, upload.name, reading.unit, reading.total, reading.characters)


def _moving(uploads: Sequence[Upload]) -> list[Upload]:
    """Still being read, or read and not yet filed under its words."""
    indexed = indexed_among(upload.reading_id for upload in uploads if upload.reading_id)
    return [u for u in uploads if _is_open(u) or (is_readable(u) and u.reading_id not in indexed)]


def _is_open(upload: Upload) -> bool:
    return upload.reading is not None and upload.reading.state in OPEN


def _unread(upload: Upload, is_moving: bool) -> tuple[str, Wire] | None:
    """What the reader of the answer should know of a file that gave less than all of its text."""
    reading = upload.reading
    if reading is None or is_moving:
        return ("file_late", {"name": upload.name})
    if reading.state not in READABLE:
        code = reading.code or reading.state
        return ("file_unreadable", {"name": upload.name, "code": code, "is_picture": is_seen(upload)})
    if reading.state == ReadingState.PARTLY:
        return ("file_partly", {"name": upload.name, "pages": len(reading.unreadable), "total": reading.total})
    return None


def _with_notices(plan: Plan, notices: Sequence[tuple[str, Wire]]) -> Plan:
    return replace(plan, notices=tuple(notices))
