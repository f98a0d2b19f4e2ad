"""A question that is ready for its endpoint, or why there is none."""

from dataclasses import dataclass, field
from uuid import UUID

from chatapp.answers.events import Wire
from chatapp.answers.request import Request, has_tools
from chatapp.answers.rounds import Round, is_spent, most_calls
from chatapp.context.counting import Counter
from chatapp.endpoints.dialects import Question, Target
from chatapp.endpoints.models import Endpoint


class CannotAnswer(Exception):
    """The answer fails before anything is asked."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that asking needs. `question` has no prefix: what has been shown is added when it is asked."""

    target: Target
    question: Question
    request: Request
    endpoint: Endpoint
    counter: Counter
    asker_id: UUID | None
    is_replay_changed: bool
    notices: list[tuple[str, Wire]] = field(default_factory=list)

    @property
    def can_continue(self) -> bool:
        return self.target.continuation != "none"

    @property
    def may_be_billed(self) -> bool:
        """Of an endpoint elsewhere we cannot know: prices that nobody has filled in are 0 too."""
        return not self.endpoint.is_local

    @property
    def prompt_characters(self) -> int:
        return sum(len(message.content) for message in self.question.messages)

    @property
    def rounds(self) -> list[Round]:
        return self.request.get("rounds", [])

    @property
    def may_compute(self) -> bool:
        """Whether calls of the model are answered, be it by the word that there were too many."""
        return has_tools(self.request) and not is_spent(self.rounds, most_calls(self.request.get("deep")))
