"""The runner of calls, beside that of answers in `manage.py run_answers`. Its loops are chatapp.answers.working's."""

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from uuid import UUID

from redis.exceptions import RedisError

from chatapp.answers.patience import Patience
from chatapp.answers.working import WorkRunner
from chatapp.endpoints.client import EndpointClient
from chatapp.programs import claiming, log
from chatapp.programs.calling import CHANNEL
from chatapp.programs.claiming import CallClaim
from chatapp.programs.one_call import CallRun

logger = logging.getLogger(__name__)

# Beside the answers of people, whose places programs never take. What is beyond waits in its row, in order.
CONCURRENCY = 32
# A program asks again by itself, and would rather hear of a fault: shorter than for people, who look at a page.
PATIENCE = Patience(unreachable_s=5.0, local_s=60.0, rate_limited_s=10.0)


class Calls:
    """Claims calls of programs."""

    channel = CHANNEL

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def claim(self, limit: int) -> Sequence[Callable[[EndpointClient, float], CallRun]]:
        return [partial(self._begin, claim) for claim in claiming.claim_calls(limit)]

    def renew(self, runs: Sequence[CallRun]) -> dict[UUID, bool]:
        return claiming.renew([run.claim for run in runs])

    def cancelled_among(self, ids: Collection[UUID]) -> set[UUID]:
        return claiming.cancelled_among(ids)

    def sweep(self, *, is_full: bool) -> None:
        for call_id in claiming.end_lost():
            try:
                log.say_ended(call_id)
            except RedisError as error:
                logger.warning("call %s ended, not told: %s", call_id, type(error).__name__)
        claiming.remove_ended()

    def _begin(self, claim: CallClaim, client: EndpointClient, claimed_at: float) -> CallRun:
        return CallRun(claim, client, self._patience, claimed_at)


class CallRunner(WorkRunner[CallRun]):
    def __init__(self, concurrency: int = CONCURRENCY, patience: Patience = PATIENCE) -> None:
        super().__init__(Calls(patience), concurrency)
