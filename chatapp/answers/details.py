"""What a person may know of one answer: counts, speed, seed, and how a replay came out."""

from dataclasses import dataclass
from uuid import UUID

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.conversations.access import may
from chatapp.conversations.selectors import get_answer


@dataclass(frozen=True, slots=True)
class Details:
    """The names are those of templates/chat/_details.html."""

    answer: Answer
    model_name: str
    tokens_per_second: float | None
    can_write: bool


def read_details(viewer: User, answer_id: UUID) -> Details:
    """Raises NotFound."""
    answer = get_answer(viewer, answer_id)
    return Details(
        answer=answer,
        model_name=answer.model_name or (answer.endpoint.name if answer.endpoint else ""),
        tokens_per_second=_speed(answer),
        can_write=may(viewer, answer.message.conversation_id, Access.WRITE),
    )


def _speed(answer: Answer) -> float | None:
    """Tokens a second of the whole generation, its first token included; notes were written before it."""
    if not answer.completion_tokens or not answer.generation_ms:
        return None
    aside: int = answer.request.get("aside_tokens", (0, 0))[1]
    return 1000 * (answer.completion_tokens - aside) / answer.generation_ms
