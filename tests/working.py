"""A worker of a queue, as a thread for the time of a block: it does what is there, again and again."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_S = 0.03


@contextmanager
def working(step: Callable[[], None]) -> Iterator[None]:
    """`step` does what is queued at that moment, with a database connection of its own."""
    from django.db import connection

    over = threading.Event()

    def work() -> None:
        while not over.wait(EVERY_S):
            step()
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join(30)
        assert not worker.is_alive()
