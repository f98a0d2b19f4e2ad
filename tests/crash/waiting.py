"""Waits with an end: a broken promise fails its test with what was waited for, not by a timeout of the run."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(what: str, look: Callable[[], T], timeout_s: float, state: Callable[[], object] = str) -> T:
    """The first truthy value that `look` gives. `state` is asked for what to say when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s:.0f} s {state()}")
        time.sleep(0.03)
    return value
