"""Reads of evidence: for the prompt, for the list under an answer, for the panel. For people, the viewer first."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from uuid import UUID

from django.db.models import F, Q, QuerySet

from chatapp.accounts.models import User
from chatapp.answers.models import ENDED, Answer
from chatapp.conversations.access import allowed
from chatapp.errors import NotFound
from chatapp.evidence.marks import numbers_in
from chatapp.evidence.models import Check, Evidence
from chatapp.evidence.parts import shortened
from chatapp.evidence.places import place_words
from chatapp.evidence.services import Draft
from chatapp.searches.found import host_of
from chatapp.searches.selectors import icon_urls
from search.web.excerpts import excerpt as centred_excerpt

EXCERPT_CHARACTERS = 240  # of a row in the list; the panel has the rest


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A passage as the list under an answer shows it."""

    number: int
    evidence: UUID
    name: str
    words: str  # its place, for people
    excerpt: str
    is_cited: bool
    site: str = ""  # of a page of the web, like the rest
    dated: date | None = None
    icon_url: str = ""


@dataclass(frozen=True, slots=True)
class AnswerSources:
    """The best first. Of whole files, once the answer has ended, those that it cites or that fit the question best."""

    rows: list[SourceRow]
    checks: list[Check]

    @property
    def marks_json(self) -> str:
        """What the marks in the text open, and are called."""
        return json.dumps(
            [
                {"number": row.number, "evidence": str(row.evidence), "name": row.name, "words": row.words or row.site}
                for row in self.rows
            ]
        )

    @property
    def checks_json(self) -> str:
        return json.dumps([{"start": c.start, "end": c.end, "verdict": c.verdict} for c in self.checks])


def frozen_drafts(answer_id: UUID) -> list[Draft]:
    """The passages of files that came with the question, by their numbers. The text of a deleted source is empty."""
    return [_draft(row) for row in _with_question(answer_id).filter(page__isnull=True)]


def known_texts(answer_id: UUID) -> set[str]:
    """Of every passage that an answer was given."""
    rows = Evidence.objects.filter(answer=answer_id, computed__isnull=True, excerpt__isnull=False)
    return set(rows.values_list("excerpt__text", flat=True))


def pages_by_tools(answer_id: UUID) -> list[tuple[int, Draft]]:
    """The passages of pages that the model's own searches have brought, with their numbers."""
    rows = Evidence.objects.filter(answer=answer_id, page__isnull=False, by_tool=True).select_related("excerpt")
    return [(row.number, _draft(row)) for row in rows.order_by("number")]


def frozen_pages(answer_id: UUID) -> list[tuple[int, Draft]]:
    """The passages of pages that came with the question, with their numbers."""
    return [(row.number, _draft(row)) for row in _with_question(answer_id).filter(page__isnull=False)]


def _with_question(answer_id: UUID) -> QuerySet[Evidence]:
    told = Evidence.objects.filter(answer=answer_id, computed__isnull=True, by_tool=False)
    return told.select_related("excerpt").order_by("number")


def _draft(row: Evidence) -> Draft:
    return Draft(
        upload_id=row.upload_id,
        source_id=row.source_id,
        source_sha256=row.source_sha256,
        name=row.name,
        headings=tuple(row.headings),
        place=row.place,
        text=row.text,
        score=row.score,
        page_id=row.page_id,
    )


def get_evidence(viewer: User, evidence_id: UUID) -> Evidence:
    """Raises NotFound: the right to read the conversation is the right to see what its answers rest on."""
    evidence = Evidence.objects.select_related("excerpt", "upload__blob", "page__search")
    found = evidence.filter(pk=evidence_id, answer__message__conversation__in=allowed(viewer)).first()
    if found is None:
        raise NotFound
    return found


def sources_of(answers: Sequence[Answer]) -> dict[UUID, AnswerSources]:
    """By answer id, for answers with their messages; those that had nothing to read are left out."""
    cited = {answer.pk: numbers_in(answer.message.text) for answer in answers}
    rows = _rows_of(answers, cited)
    checks: dict[UUID, list[Check]] = defaultdict(list)
    for check in Check.objects.filter(answer__in=list(rows)):
        checks[check.answer_id].append(check)
    icons = icon_urls({host_of(row.page.url) for found in rows.values() for row in found if row.page})
    return {
        answer_id: AnswerSources([_row(row, row.number in cited[answer_id], icons) for row in found], checks[answer_id])
        for answer_id, found in rows.items()
    }


def _rows_of(answers: Sequence[Answer], cited: Mapping[UUID, list[int]]) -> dict[UUID, list[Evidence]]:
    wanted = Q(answer__in=[answer.pk for answer in answers], score__isnull=False)
    for answer in answers:
        wanted |= Q(answer=answer) if answer.status not in ENDED else Q(answer=answer, number__in=cited[answer.pk])
    rows: dict[UUID, list[Evidence]] = defaultdict(list)
    best_first = Evidence.objects.filter(wanted).order_by(F("score").desc(nulls_last=True), "number")
    unread = ("page__blocks", "page__search__progress", "page__search__found")
    for row in best_first.select_related("excerpt", "page__search").defer(*unread):
        rows[row.answer_id].append(row)
    return rows


def _row(row: Evidence, is_cited: bool, icons: Mapping[str, str]) -> SourceRow:
    # Of a page, what matched the question; a file's passages are many, and are told by their beginnings.
    text = row.text if row.page is None else _centred(row.text, row.page.search.question)
    excerpt = shortened(text, EXCERPT_CHARACTERS)
    shown = SourceRow(row.number, row.pk, row.name, place_words(row.place), excerpt, is_cited)
    if row.page is None:
        return shown
    return replace(shown, site=row.page.site, dated=row.page.date, icon_url=icons.get(host_of(row.page.url), ""))


@lru_cache(maxsize=1024)
def _centred(text: str, question: str) -> str:
    """Half a millisecond each, and a long chat has hundreds of them on each of its pages."""
    return centred_excerpt(text, question, EXCERPT_CHARACTERS)
