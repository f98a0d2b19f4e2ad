"""How often one person may search: typing is answered, a program that asks without a pause is not."""

import logging
from uuid import UUID

from redis.exceptions import RedisError

from chatapp.answers.valkey import blocking_client

logger = logging.getLogger(__name__)

WINDOW_S = 10
# A fast typist whose every letter is asked for (they are gathered for 120 ms) makes 60 in ten seconds.
MOST = 80


def may_search(person_id: UUID) -> bool:
    """Counts this one. Without Valkey nobody is counted: each query has its own limit of time."""
    key = f"searches:{person_id}"
    try:
        with blocking_client().pipeline() as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, WINDOW_S, nx=True)
            num, _is_new = pipeline.execute()
    except RedisError as error:
        logger.warning("searches of %s not counted: %s", person_id, type(error).__name__)
        return True
    return int(num) <= MOST
