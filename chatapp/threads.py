"""Where asynchronous programs (the consumer, the runner) do their blocking work with the database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

P = ParamSpec("P")
R = TypeVar("R")

# Eight database connections a process. Django's own choice would be one thread for every socket of the process.
_pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="database")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs the function in a pooled thread with a healthy database connection; passes its result or error on."""

    def work() -> R:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return await sync_to_async(work, thread_sensitive=False, executor=_pool)()
