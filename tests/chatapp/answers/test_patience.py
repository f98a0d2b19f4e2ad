"""Waits grow, are told by the endpoint where it says so, and come to an end."""

import itertools

from chatapp.answers.patience import Patience, Tries
from chatapp.endpoints.faults import RateLimited, Unreachable


def test_waits_grow_to_their_longest() -> None:
    tries = Tries(Patience(), is_local=False)
    waits = [wait for wait in (tries.next_wait_s(Unreachable("")) for _ in range(8)) if wait is not None]
    assert all(earlier < later for earlier, later in itertools.pairwise(waits[:4]))
    assert max(waits) <= 1.2 * Patience().longest_wait_s


def test_a_rate_limit_waits_as_told_within_its_budget() -> None:
    tries = Tries(Patience(rate_limited_s=25.0), is_local=False)
    assert tries.next_wait_s(RateLimited("", 10.0)) == 10.0
    assert tries.next_wait_s(RateLimited("", 10.0)) == 10.0
    assert tries.next_wait_s(RateLimited("", 10.0)) is None


def test_progress_starts_the_count_anew_but_not_the_total() -> None:
    tries = Tries(Patience(max_tries=5), is_local=False)
    for _ in range(4):
        assert tries.next_wait_s(Unreachable("")) is not None
        tries.progressed()
    assert tries.failures == 0
    assert tries.next_wait_s(Unreachable("")) is None


def test_an_endpoint_that_stays_away_is_given_up() -> None:
    assert Tries(Patience(unreachable_s=-1.0), is_local=False).next_wait_s(Unreachable("")) is None
    assert Tries(Patience(unreachable_s=-1.0), is_local=True).next_wait_s(Unreachable("")) is not None
