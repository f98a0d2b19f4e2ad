"""The runner of answers. Its loops are in working.py. Run: `manage.py run_answers`."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from uuid import UUID

from chatapp.answers.claims import Claim, cancelled_among, claim_answers, renew
from chatapp.answers.doorbell import RUNNER_CHANNEL
from chatapp.answers.generation import Generation
from chatapp.answers.held import DATABASE_AWAY
from chatapp.answers.patience import Patience
from chatapp.answers.sweep import emit_lost_events
from chatapp.answers.waiting import tell_places
from chatapp.answers.working import WorkRunner
from chatapp.endpoints.client import EndpointClient
from chatapp.endpoints.services import ensure_local_endpoint
from chatapp.threads import in_thread

logger = logging.getLogger(__name__)

# Each holds one connection to an endpoint and a snapshot every 2 s: 32 are 16 small transactions a second, and more
# than our own worker decodes at once. Whatever is beyond waits in its row, in order.
CONCURRENCY = 32


class Answers:
    """Claims answers of chats."""

    channel = RUNNER_CHANNEL

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def claim(self, limit: int) -> Sequence[Callable[[EndpointClient, float], Generation]]:
        claims = claim_answers(limit)
        for claim in claims:
            logger.info("answer %s claimed fence=%d", claim.answer_id, claim.fence)
        return [partial(self._begin, claim) for claim in claims]

    def renew(self, runs: Sequence[Generation]) -> dict[UUID, bool]:
        return renew([run.claim for run in runs])

    def cancelled_among(self, ids: Collection[UUID]) -> set[UUID]:
        return cancelled_among(ids)

    def sweep(self, *, is_full: bool) -> None:
        emit_lost_events()
        if is_full:
            tell_places()

    def _begin(self, claim: Claim, client: EndpointClient, claimed_at: float) -> Generation:
        return Generation(claim, client, self._patience, claimed_at)


class Runner(WorkRunner[Generation]):
    def __init__(self, concurrency: int = CONCURRENCY, patience: Patience | None = None) -> None:
        super().__init__(Answers(patience or Patience()), concurrency)


async def prepare_site() -> None:
    """The row of our own worker, as soon as the database is there."""
    while True:
        try:
            await in_thread(ensure_local_endpoint)
            return
        except DATABASE_AWAY as error:
            logger.warning("runner waits for the database: %s", type(error).__name__)
            await asyncio.sleep(0.5)
