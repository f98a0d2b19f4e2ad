"""What is searched for an answer before it is asked for. Reads rows and settings; asks nobody."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.utils import timezone

from chatapp.answers.history import history_above, turns_of
from chatapp.answers.loading import Loaded
from chatapp.answers.questions import endpoint_of, target_for
from chatapp.answers.sources import SHORT_QUESTION
from chatapp.context.assembly import Turn
from chatapp.context.counting import Counter, counter_for
from chatapp.endpoints.dialects import Target
from chatapp.endpoints.models import Endpoint
from chatapp.searches.models import Search
from chatapp.searches.setting import web_setting
from search.web.mentioned import urls_in, without_urls


@dataclass(frozen=True, slots=True)
class ToSearch:
    """What is to be searched for an answer before it is asked for: addresses in its question, queries, or both.

    `begun` are those that an earlier runner has begun; `is_telling`: the question says by itself what it is about.
    """

    begun: tuple[UUID, ...]
    question: str
    turns: tuple[Turn, ...]
    urls: tuple[str, ...]
    wants_queries: bool
    is_confirmed: bool
    today: date
    endpoint: Endpoint
    target: Target
    counter: Counter
    seed: int
    user: str

    @property
    def earlier(self) -> str:
        return self.turns[-2].question if len(self.turns) > 1 else ""

    @property
    def is_telling(self) -> bool:
        return len(self.question) >= SHORT_QUESTION


def to_search(loaded: Loaded) -> ToSearch | None:
    """None where nothing is, or where that was decided before. Raises CannotAnswer."""
    answer = loaded.answer
    if loaded.request.get("parts") or answer.replay_of is not None or loaded.continues_message:
        return None
    setting = web_setting()
    turns = turns_of(history_above(answer.message))
    asked = turns[-1].question
    urls = tuple(urls_in(asked)) if setting.is_on and setting.reads_pasted_urls else ()
    question = without_urls(asked) if urls else asked.strip()
    endpoint = endpoint_of(answer)
    searches_itself = answer.deep and endpoint.tools
    wants_queries = setting.is_on and answer.search and not searches_itself and bool(question)
    begun = tuple(Search.objects.filter(answer=answer, call="").values_list("pk", flat=True))
    if not (urls or wants_queries or begun):
        return None
    return ToSearch(
        begun=begun,
        question=question,
        turns=(*turns[:-1], Turn(question)),
        urls=urls,
        wants_queries=wants_queries,
        is_confirmed=setting.confirms_queries,
        today=timezone.localdate(),
        endpoint=endpoint,
        target=target_for(endpoint),
        counter=counter_for(endpoint.tokenizer_path, endpoint.characters_per_token),
        seed=answer.seed,
        user=str(answer.asked_by_id or ""),
    )
