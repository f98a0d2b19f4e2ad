"""How much each user has been served: whoever has been served least is next.

A virtual token counter (Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024). A user who comes back
starts no lower than the least served of those who are here: nobody saves up a claim by staying away, and nobody is rid
of what was served before by coming again. Knows names and numbers; knows nothing of sequences or clocks.
"""

from __future__ import annotations

from collections import Counter

# A decoded token takes about 8 ms alone on two CPU cores and much less in company; a prompt token takes 1 ms.
OUTPUT_COST = 4


class Shares:
    def __init__(self) -> None:
        self._served: dict[str, int] = {}
        self._num_here: Counter[str] = Counter()  # sequences waiting or running

    def enter(self, user: str) -> None:
        if self._num_here[user] == 0:
            least = self._least()
            self._served[user] = max(self._served.get(user, 0), least)
        self._num_here[user] += 1

    def leave(self, user: str) -> None:
        self._num_here[user] -= 1
        if self._num_here[user] > 0:
            return
        del self._num_here[user]
        least = self._least()
        self._served = {
            name: served
            for name, served in self._served.items()
            if name in self._num_here or (self._num_here and served > least)
        }

    def charge(self, user: str, cost: int) -> None:
        self._served[user] += cost

    def served(self, user: str) -> int:
        return self._served.get(user, 0)

    def _least(self) -> int:
        return min((self._served[user] for user, count in self._num_here.items() if count > 0), default=0)
