"""Whether a question can be taken, and answered, right now."""

import logging
from dataclasses import dataclass

from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from chatapp.answers.doorbell import RUNNER_CHANNEL
from chatapp.answers.valkey import blocking_client

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """A question is taken with database and broker; without a runner it waits until one comes back."""

    database: bool
    broker: bool
    runner: bool

    @property
    def takes_questions(self) -> bool:
        return self.database and self.broker

    def to_wire(self) -> dict[str, str]:
        parts = {"database": self.database, "broker": self.broker, "runner": self.runner}
        status = "ok" if all(parts.values()) else "waiting" if self.takes_questions else "down"
        return {"status": status, **{name: "ok" if well else "away" for name, well in parts.items()}}


def read_health() -> Health:
    num_runners = _num_runners()
    return Health(database=_database_answers(), broker=num_runners is not None, runner=bool(num_runners))


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        logger.warning("health: database away: %s", type(error).__name__)
        return False
    return True


def _num_runners() -> int | None:
    """How many runners listen for their bell; None while the broker is away."""
    try:
        [(_channel, num_listening)] = blocking_client().pubsub_numsub(RUNNER_CHANNEL)
    except RedisError as error:
        logger.warning("health: broker away: %s", type(error).__name__)
        return None
    return int(num_listening)
