"""Questions to the model beside the answer, whose words are shown to nobody: for notes, and for queries."""

from contextlib import aclosing
from uuid import UUID

from chatapp.answers.claimed import Claimed
from chatapp.answers.held import Stopped
from chatapp.answers.joining import joined
from chatapp.answers.patience import Patience, Tries
from chatapp.context.counting import counter_for
from chatapp.endpoints.client import EndpointClient
from chatapp.endpoints.deltas import Completed, Usage
from chatapp.endpoints.dialects import Question, Target
from chatapp.endpoints.faults import Dropped, RateLimited, Unreachable
from chatapp.endpoints.models import Endpoint
from chatapp.threads import in_thread
from chatapp.usage.metering import metered
from chatapp.usage.recording import Asked, Kind, begin


class Asides:
    """Of one claimed answer."""

    def __init__(self, claimed: Claimed, client: EndpointClient, patience: Patience) -> None:
        self._claimed = claimed
        self._client = client
        self._patience = patience

    async def ask(self, target: Target, question: Question, endpoint: Endpoint) -> tuple[str, Usage | None]:
        """As patiently as for the answer itself. Raises EndpointError, Stopped."""
        tries = Tries(self._patience, endpoint.is_local)
        while True:
            try:
                return await self.ask_once(target, question, endpoint)
            except (Unreachable, Dropped, RateLimited) as fault:
                wait_s = tries.next_wait_s(fault)
                if wait_s is None or (isinstance(fault, Dropped) and not endpoint.is_local):
                    raise
                await self._claimed.pause(wait_s)

    async def ask_once(self, target: Target, question: Question, endpoint: Endpoint) -> tuple[str, Usage | None]:
        text = ""
        counter = counter_for(endpoint.tokenizer_path, endpoint.characters_per_token)
        prompt_tokens = sum(counter.count(message.content) for message in question.messages)
        asker_id = UUID(question.user) if question.user else None
        asked = Asked(Kind.ASIDE, asker_id, endpoint, self._claimed.claim.answer_id)
        spending = await self._claimed.patiently(in_thread, begin, asked, prompt_tokens)
        async with (
            metered(self._client.stream(target, question), spending, endpoint, counter) as source,
            aclosing(joined(source, self._claimed.stopping)) as pieces,
        ):
            async for piece in pieces:
                if isinstance(piece, Completed):
                    return text, piece.usage
                text += piece.text if piece.part == "text" else ""
        raise Stopped
