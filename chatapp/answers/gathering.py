"""What an answer reads is decided once and frozen with it, under the claim of the runner that asks."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from chatapp.answers.claims import Claim, held_by
from chatapp.answers.log import FencedOut
from chatapp.answers.models import Answer
from chatapp.answers.sources import Plan, plan_for, uploads_above
from chatapp.context.counting import Counter
from chatapp.evidence.selectors import frozen_drafts
from chatapp.evidence.services import copy_evidence, freeze


def read_files(claim: Claim, answer: Answer, query: str, room_tokens: int, counter: Counter, *, is_demo: bool) -> Plan:
    """Raises FencedOut where the claim holds no more."""
    uploads = uploads_above(answer.message)
    if not uploads:
        return Plan()
    plan = plan_for(uploads, query, room_tokens, counter, is_demo=is_demo)
    with holding(claim):
        freeze(answer.pk, plan.drafts)
    return plan


def keep_reading(claim: Claim, answer: Answer, earlier: Answer) -> Plan:
    """The same passages under the same numbers as another attempt: one that is continued, or replayed.

    A replay computes anew; a text that is continued goes on from what was computed for it.
    """
    with holding(claim):
        copy_evidence(earlier.pk, answer.pk, with_computed=answer.replay_of_id is None)
    return Plan(earlier.request.get("sources", ""), tuple(frozen_drafts(answer.pk)))


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
