"""What an answer reads is decided once and frozen with it, under the claim of the runner that asks."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import transaction

from chatapp.accounts.models import User
from chatapp.answers.claims import Claim, held_by
from chatapp.answers.given import given_above
from chatapp.answers.log import FencedOut
from chatapp.answers.models import Answer
from chatapp.answers.sources import Plan, plan_for, with_best_told
from chatapp.context.counting import Counter
from chatapp.evidence.models import Evidence
from chatapp.evidence.selectors import frozen_drafts
from chatapp.evidence.services import copy_evidence, freeze
from chatapp.files.access import readable


def read_files(claim: Claim, answer: Answer, query: str, room_tokens: int, counter: Counter, *, is_demo: bool) -> Plan:
    """Raises FencedOut where the claim holds no more."""
    given = given_above(answer.message, answer.asked_by_id)
    if given.is_empty:
        return Plan()
    plan = with_best_told(plan_for(given, query, room_tokens, counter, is_demo=is_demo), query)
    with holding(claim):
        freeze(answer.pk, plan.drafts)
    return plan


def keep_reading(claim: Claim, answer: Answer, earlier: Answer) -> Plan:
    """The same passages under the same numbers as another attempt: one that is continued, or replayed.

    A replay computes and searches anew what its model calls for; a text that is continued goes on from what was found
    for it. Somebody else may have made the earlier attempt: of files that this asker may not read only the numbers are
    kept.
    """
    used = Evidence.objects.filter(answer=earlier, upload__isnull=False).values_list("upload_id", flat=True)
    closed = closed_among([id for id in used.distinct() if id], answer.asked_by_id)
    with holding(claim):
        copy_evidence(earlier.pk, answer.pk, closed, with_tools=answer.replay_of_id is None)
    return Plan(earlier.request.get("sources", ""), tuple(frozen_drafts(answer.pk)))


def closed_among(upload_ids: Collection[UUID], asker_id: UUID | None) -> set[UUID]:
    """Those that the asker may not read now, or that are not there any more."""
    asker = User.objects.filter(pk=asker_id).first() if asker_id else None
    found = readable(asker).filter(pk__in=upload_ids).values_list("pk", flat=True) if asker else ()
    return set(upload_ids) - set(found)


def attempt_before(answer: Answer) -> Answer | None:
    """The attempt at the same message whose text this one goes on with."""
    return answer.message.answers.filter(created_at__lt=answer.created_at).order_by("created_at", "id").last()


@contextmanager
def holding(claim: Claim) -> Iterator[None]:
    """A transaction in which no other runner can take the answer over."""
    with transaction.atomic():
        if not Answer.objects.select_for_update(of=("self",)).filter(held_by(claim)).exists():
            raise FencedOut(f"answer {claim.answer_id}: fence {claim.fence} does not hold")
        yield
