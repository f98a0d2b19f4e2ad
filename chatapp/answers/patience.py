"""How long an endpoint that refuses or breaks off is asked again. Knows its faults and the time; asks nobody."""

import random
import time
from dataclasses import dataclass

from chatapp.endpoints.faults import EndpointError, RateLimited


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an endpoint is waited for. Seconds."""

    unreachable_s: float = 20.0  # a foreign endpoint that is down says so to the reader soon
    local_s: float = 90.0  # our own worker is restarted by the supervisor and loads its weights
    rate_limited_s: float = 90.0
    max_tries: int = 20  # however often it breaks off after a word more
    max_local_tries: int = 400
    first_wait_s: float = 0.25
    longest_wait_s: float = 4.0
    longest_local_s: float = 0.5  # asking our own worker whether it is back costs nothing


class Tries:
    """Counts failures without progress; says how long to wait, or None when patience is at its end."""

    def __init__(self, patience: Patience, is_local: bool) -> None:
        self._patience = patience
        self._budget_s = patience.local_s if is_local else patience.unreachable_s
        self._longest_s = patience.longest_local_s if is_local else patience.longest_wait_s
        self._max_tries = patience.max_local_tries if is_local else patience.max_tries
        self._since = time.monotonic()
        self._waited_s = 0.0
        self._total = 0
        self.failures = 0

    def progressed(self) -> None:
        self._since, self._waited_s, self.failures = time.monotonic(), 0.0, 0

    def next_wait_s(self, fault: EndpointError) -> float | None:
        self._total += 1
        self.failures += 1
        wait_s = min(self._longest_s, self._patience.first_wait_s * 2 ** min(self.failures - 1, 10))
        wait_s *= random.uniform(0.8, 1.2)  # the answers of a lost endpoint do not all come back at once
        if isinstance(fault, RateLimited):
            wait_s = max(wait_s, fault.retry_after_s or 0.0)
            self._waited_s += wait_s
            spent, budget = self._waited_s, self._patience.rate_limited_s
        else:
            spent, budget = time.monotonic() - self._since, self._budget_s
        return None if spent > budget or self._total >= self._max_tries else wait_s
