"""From a claimed call to the question for its endpoint."""

from dataclasses import dataclass
from uuid import UUID

from chatapp.answers.pictures import PICTURE_TOKENS
from chatapp.answers.prepared import CannotAnswer
from chatapp.answers.questions import output_tokens, target_for
from chatapp.answers.sources import Plan
from chatapp.context.counting import Counter, counter_for
from chatapp.context.messages import ChatMessage
from chatapp.endpoints.dialects import Prefix, Question, Target
from chatapp.endpoints.models import Endpoint
from chatapp.evidence.services import Draft
from chatapp.programs import keys
from chatapp.programs.claiming import CallClaim
from chatapp.programs.models import ApiKey, Call
from chatapp.programs.request import Asking
from chatapp.programs.sources import Reading, read, uploads_of, with_files


class Gone(Exception):
    """The call is not this runner's any more."""


class CalledOff(Exception):
    """Nobody wants it any more, or its key has ended."""


@dataclass(frozen=True, slots=True)
class Loaded:
    key: ApiKey
    endpoint: Endpoint
    asking: Asking
    counter: Counter

    @property
    def owner_id(self) -> UUID:
        return self.key.owner_id


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """`drafts` are the passages that the model was given, in the order of their numbers."""

    target: Target
    question: Question
    prompt_tokens: int  # by our count
    drafts: tuple[Draft, ...] = ()


def load(claim: CallClaim) -> Loaded:
    """Raises Gone, CalledOff, CannotAnswer."""
    call = Call.objects.select_related("key__owner", "endpoint").filter(pk=claim.call_id, fence=claim.fence).first()
    if call is None:
        raise Gone
    if call.cancel_requested_at is not None or not keys.works(call.key):
        raise CalledOff
    endpoint = call.endpoint
    if endpoint is None or not endpoint.is_enabled:
        raise CannotAnswer("no_endpoint")
    counter = counter_for(endpoint.tokenizer_path, endpoint.characters_per_token)
    return Loaded(call.key, endpoint, Asking.from_json(call.request), counter)


def prepare(loaded: Loaded) -> PreparedCall:
    """Raises CannotAnswer."""
    asking, endpoint = loaded.asking, loaded.endpoint
    target = target_for(endpoint)
    messages = tuple(said.message for said in asking.messages)
    prompt_tokens = _count(loaded, messages)
    plan = Plan()
    if asking.file_ids:
        most = asking.max_tokens or output_tokens(endpoint)
        room = endpoint.context_length - prompt_tokens - most
        reading = Reading(uploads_of(asking), room, loaded.counter, endpoint.is_local, endpoint.vision)
        plan = read(asking, reading)
        messages = with_files(asking, plan, reading)
        prompt_tokens += plan.tokens
    begun = asking.begun
    max_tokens = asking.max_tokens or max(1, min(endpoint.max_output_tokens, endpoint.context_length - prompt_tokens))
    if begun and target.takes_token_ids:  # our own worker counts the prefix as output
        max_tokens += loaded.counter.count(begun.text + begun.reasoning)
    question = Question(
        messages,
        max_tokens,
        thinking=bool(asking.thinking),
        prefix=Prefix(begun.text, begun.reasoning) if begun else None,
        user=str(loaded.owner_id),
        prompt=asking.prompt,
        options=asking.options,
    )
    return PreparedCall(target, question, prompt_tokens, plan.drafts)


def _count(loaded: Loaded, messages: tuple[ChatMessage, ...]) -> int:
    asking = loaded.asking
    texts = [message.content + message.reasoning for message in messages]
    texts += [call.name + call.arguments for message in messages for call in message.tool_calls]
    texts += [asking.prompt or "", str(asking.options.get("tools", "")), str(asking.options.get("suffix", ""))]
    if asking.begun:
        texts.append(asking.begun.text + asking.begun.reasoning)
    return sum(loaded.counter.count(text) for text in texts if text) + PICTURE_TOKENS * asking.num_pictures
