"""An answer as its rows tell it, for the runner that has claimed it."""

from dataclasses import dataclass

from django.db import transaction

from chatapp.answers.claims import Claim, held_by
from chatapp.answers.events import Position, utf16_length
from chatapp.answers.log import FencedOut
from chatapp.answers.models import Answer
from chatapp.answers.progress import Progress
from chatapp.answers.request import Request
from chatapp.answers.tables import Described
from chatapp.conversations.models import Message


@dataclass(frozen=True, slots=True)
class Loaded:
    """An answer as its rows tell it."""

    claim: Claim
    answer: Answer
    request: Request
    progress: Progress
    described: tuple[Described, ...] = ()  # spreadsheets that a new question offers to compute with

    @property
    def continues_message(self) -> bool:
        return bool(self.progress.start_text or self.progress.start_reasoning)


def load(claim: Claim) -> Loaded:
    """Raises FencedOut where the claim holds no more."""
    related = ("message", "endpoint", "replay_of__message")
    answer = Answer.objects.select_related(*related).filter(held_by(claim)).first()
    if answer is None:
        raise FencedOut(f"answer {claim.answer_id}: fence {claim.fence} does not hold")
    request: Request = answer.request
    if not request and answer.replay_of is not None:
        _begin_like_original(claim, answer, answer.replay_of)
    progress = Progress(
        text=answer.message.text,
        reasoning=answer.reasoning,
        token_ids=list(answer.token_ids),
        position=Position(answer.snapshot_epoch, answer.snapshot_seq) if answer.snapshot_epoch else None,
        notices=list(answer.notices),
        first_token_ms=answer.first_token_ms,
        thinking_ms=answer.thinking_ms,
        generation_ms=answer.generation_ms or 0,
        start_text=answer.prefix_length,
        start_reasoning=request.get("start_reasoning", utf16_length(answer.reasoning)),
    )
    if rounds := request.get("rounds"):
        progress.begin_round(rounds[-1]["ends"])
    return Loaded(claim, answer, request, progress)


@transaction.atomic
def _begin_like_original(claim: Claim, answer: Answer, original: Answer) -> None:
    """The replay of an attempt that continued a text begins with that text."""
    request: Request = original.request
    answer.prefix_length = original.prefix_length
    answer.message.text = first_units(original.message.text, original.prefix_length)
    answer.reasoning = first_units(original.reasoning, request.get("start_reasoning", 0))
    answer.token_ids = original.token_ids[: request.get("start_tokens", 0)]
    begun = Answer.objects.filter(held_by(claim)).update(
        prefix_length=answer.prefix_length, reasoning=answer.reasoning, token_ids=answer.token_ids
    )
    if begun:
        Message.objects.filter(id=claim.message_id).update(text=answer.message.text)


def first_units(text: str, units: int) -> str:
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore")
