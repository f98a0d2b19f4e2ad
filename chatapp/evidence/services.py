"""Writes of evidence: frozen before the model is asked, copied with a replay, blanked when its source is deleted."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, Max, OuterRef

from chatapp.answers.models import ENDED, Answer
from chatapp.evidence.models import Check, Evidence, Excerpt, Note


@dataclass(frozen=True, slots=True)
class Draft:
    """A passage as it is about to be frozen; its number is its place in the list, from 1."""

    upload_id: UUID | None
    source_id: UUID
    source_sha256: str
    name: str
    headings: tuple[str, ...]
    place: dict[str, Any]
    text: str
    score: float | None
    page_id: UUID | None = None  # of the web


@transaction.atomic
def freeze(answer_id: UUID, drafts: Sequence[Draft]) -> None:
    """In place of what was frozen for this answer before. The caller holds the answer."""
    Evidence.objects.filter(answer=answer_id).delete()
    _append(answer_id, drafts)


@transaction.atomic
def freeze_pages(answer_id: UUID, drafts: Sequence[Draft]) -> None:
    """Behind the passages of files, in place of what was frozen of pages before. The caller holds the answer."""
    Evidence.objects.filter(answer=answer_id, page__isnull=False).delete()
    _append(answer_id, drafts)


@transaction.atomic
def add_passages(answer_id: UUID, drafts: Sequence[Draft]) -> list[int]:
    """What a tool has found, under the next numbers, which are returned. The caller holds the answer."""
    return _append(answer_id, drafts, by_tool=True)


@transaction.atomic
def add(answer_id: UUID, draft: Draft, computed: dict[str, Any]) -> int:
    """What was computed for an answer, under the next number, which is returned. The caller holds the answer."""
    return _append(answer_id, [draft], by_tool=True, computed=computed)[0]


@transaction.atomic
def copy_evidence(
    source_answer_id: UUID, answer_id: UUID, closed_uploads: Collection[UUID] = (), *, with_tools: bool
) -> None:
    """What another attempt had read, under the same numbers, the texts of `closed_uploads` left out.

    Does nothing where this one has evidence already.
    """
    if Evidence.objects.filter(answer=answer_id).exists():
        return
    rows = list(Evidence.objects.filter(answer=source_answer_id))
    if not with_tools:
        rows = [row for row in rows if row.computed is None and not row.by_tool]
    for row in rows:
        row.pk = Evidence._meta.pk.get_default()
        row.answer_id = answer_id
        if row.upload_id in closed_uploads:
            row.excerpt_id = None
    Evidence.objects.bulk_create(rows)


@transaction.atomic
def forget_sources(source_ids: Iterable[UUID]) -> int:
    """The texts of deleted files leave with them; numbers, names and places of the marks stay. Returns how many.

    Notes that a model took of them go too: nobody can say which sentence came from which file.
    """
    evidence = Evidence.objects.filter(source_id__in=list(source_ids))
    _forget_notes(set(evidence.values_list("answer_id", flat=True)))
    blanked = evidence.filter(excerpt__isnull=False).update(excerpt=None, upload=None)
    remove_unused_excerpts()
    return blanked


def _forget_notes(answer_ids: Collection[UUID]) -> None:
    """Of an answer that is still being made the notes are in its rows alone, and are taken anew."""
    Note.objects.filter(answer__in=answer_ids).delete()
    for answer in Answer.objects.filter(pk__in=answer_ids, status__in=ENDED, request__has_key="notes").only("request"):
        answer.request["notes"] = []
        answer.save(update_fields=["request"])


def remove_unused_excerpts() -> int:
    used = Evidence.objects.filter(excerpt=OuterRef("pk"))
    removed, _ = Excerpt.objects.filter(~Exists(used)).delete()
    return removed


@transaction.atomic
def store_checks(answer_id: UUID, checks: Iterable[Check]) -> None:
    Check.objects.filter(answer=answer_id).delete()
    Check.objects.bulk_create(checks)


def _append(
    answer_id: UUID, drafts: Sequence[Draft], *, by_tool: bool = False, computed: dict[str, Any] | None = None
) -> list[int]:
    """Under the next numbers."""
    texts = {_sha256(draft.text): draft.text for draft in drafts}
    # In one order everywhere: two answers that freeze the same texts must not wait for each other in a ring.
    excerpts = [Excerpt(sha256=sha256, text=texts[sha256]) for sha256 in sorted(texts)]
    Excerpt.objects.bulk_create(excerpts, ignore_conflicts=True)
    last = Evidence.objects.filter(answer=answer_id).aggregate(last=Max("number"))["last"] or 0
    rows = [_row(answer_id, number, draft) for number, draft in enumerate(drafts, start=last + 1)]
    for row in rows:
        row.by_tool, row.computed = by_tool, computed
    Evidence.objects.bulk_create(rows)
    return [row.number for row in rows]


def _row(answer_id: UUID, number: int, draft: Draft) -> Evidence:
    return Evidence(
        answer_id=answer_id,
        number=number,
        upload_id=draft.upload_id,
        page_id=draft.page_id,
        source_id=draft.source_id,
        source_sha256=draft.source_sha256,
        name=draft.name[:255],
        headings=list(draft.headings),
        place=draft.place,
        excerpt_id=_sha256(draft.text),
        score=draft.score,
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
