"""Sources too long for the model, read part by part: notes of every part, joined until they fit beside the question.

Each note is a row, so that a crash costs one part and not the reading. Knows no endpoint: it says what to ask next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Sum

from chatapp.answers.claims import Claim
from chatapp.answers.events import Wire
from chatapp.answers.gathering import holding
from chatapp.answers.given import given_above
from chatapp.answers.models import Answer
from chatapp.answers.sources import Plan, passages_of, plan_for
from chatapp.context.counting import Counter
from chatapp.context.sources import Passage, cost, is_empty_note, question_of_notes, question_of_part
from chatapp.evidence.models import Note
from chatapp.evidence.selectors import frozen_drafts
from chatapp.evidence.services import freeze
from chatapp.searches.models import Search

T = TypeVar("T")

NOTE_TOKENS = 400  # of one part: a dozen sentences
MOST_LEVELS = 3  # thousandfold: a text that does not fit after that is cut, and said to be


@dataclass(frozen=True, slots=True)
class Task:
    """One question aside: `part` of `parts` on its level, counted from 1."""

    level: int
    part: int
    parts: int
    question: str


@dataclass(frozen=True, slots=True)
class LongReading:
    """`room_tokens` is what the prompt may hold beside rules and question; `levels` hold the notes that are there."""

    answer: Answer
    question: str
    room_tokens: int
    counter: Counter
    is_demo: bool

    def next_task(self) -> Task | None:
        """What is still to be asked; None once the notes fit, or grow no smaller."""
        parts = self._passage_groups()
        notes = self._notes(0)
        if missing := _first_missing(notes, len(parts)):
            question = question_of_part(self.question, parts[missing - 1], missing, len(parts), is_demo=self.is_demo)
            return Task(0, missing, len(parts), question)
        for level in range(1, MOST_LEVELS + 1):
            below = _told(notes)
            groups = self._note_groups(below)
            if self._fit(below) or len(groups) >= len(below):
                return None
            notes = self._notes(level)
            if missing := _first_missing(notes, len(groups)):
                return Task(level, missing, len(groups), question_of_notes(self.question, groups[missing - 1]))
        return None

    def notes(self) -> list[str]:
        """The notes of the highest level: what the answer is written from. Cut to what fits, from the end."""
        highest = Note.objects.filter(answer=self.answer).order_by("-level").values_list("level", flat=True).first()
        told = _told(self._notes(highest or 0))
        while told and not self._fit(told):
            told.pop()
        return told

    def _notes(self, level: int) -> dict[int, str]:
        return dict(Note.objects.filter(answer=self.answer, level=level).values_list("part", "text"))

    def _passage_groups(self) -> list[list[Passage]]:
        passages = passages_of(frozen_drafts(self.answer.pk))
        return _grouped(passages, [cost(passage, self.counter) for passage in passages], self._part_room)

    def _note_groups(self, notes: Sequence[str]) -> list[list[str]]:
        return _grouped(notes, [self.counter.count(note) + 2 for note in notes], self._part_room)

    @property
    def _part_room(self) -> int:
        return max(1, self.room_tokens - NOTE_TOKENS)

    def _fit(self, notes: Sequence[str]) -> bool:
        return sum(self.counter.count(note) + 2 for note in notes) <= self.room_tokens


def begin_long_reading(claim: Claim, reading: LongReading) -> bool:
    """Freezes every passage of the answer's files. False where they fit as they are, or there are none."""
    answer = reading.answer
    if Note.objects.filter(answer=answer).exists():
        return True
    given = given_above(answer.message, answer.asked_by_id)
    room, counter = reading.room_tokens, reading.counter
    plan = plan_for(given, reading.question, room, counter, is_demo=reading.is_demo, is_read_in_parts=True)
    if plan.mode != "notes":
        return False
    with holding(claim):
        freeze(answer.pk, plan.drafts)
    return True


def plan_of_notes(reading: LongReading) -> Plan | None:
    """What the finished reading came to; None where nothing was read in parts."""
    answer = reading.answer
    if not Note.objects.filter(answer=answer).exists():
        return None
    parts = Note.objects.filter(answer=answer, level=0).count()
    notices: tuple[tuple[str, Wire], ...] = (("files_in_parts", {"parts": parts}),)
    return Plan("notes", tuple(frozen_drafts(answer.pk)), notes=tuple(reading.notes()), notices=notices)


def save_note(claim: Claim, answer: Answer, task: Task, text: str, prompt_tokens: int, completion_tokens: int) -> None:
    """Raises FencedOut where the claim holds no more."""
    with holding(claim):
        Note.objects.update_or_create(
            answer=answer,
            level=task.level,
            part=task.part,
            defaults={"text": text, "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens},
        )


def tokens_aside(answer: Answer) -> tuple[int, int]:
    """What was asked before the question has cost, for notes and for queries: prompt and completion."""
    spent = (Note.objects.filter(answer=answer), Search.objects.filter(answer=answer))
    sums = [rows.aggregate(prompt=Sum("prompt_tokens"), completion=Sum("completion_tokens")) for rows in spent]
    return sum(each["prompt"] or 0 for each in sums), sum(each["completion"] or 0 for each in sums)


def _told(notes: dict[int, str]) -> list[str]:
    return [notes[part] for part in sorted(notes) if not is_empty_note(notes[part])]


def _first_missing(notes: dict[int, str], parts: int) -> int | None:
    return next((part for part in range(1, parts + 1) if part not in notes), None)


def _grouped(items: Sequence[T], costs: Sequence[int], room: int) -> list[list[T]]:
    """In order, as many together as fit; one that fits nowhere stands alone."""
    groups: list[list[T]] = []
    used = 0
    for item, item_cost in zip(items, costs, strict=True):
        if not groups or used + item_cost > room:
            groups.append([])
            used = 0
        groups[-1].append(item)
        used += item_cost
    return groups
