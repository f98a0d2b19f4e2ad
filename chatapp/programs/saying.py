"""What one call has said, and how far its reader was told. A log that is away is caught up with, not waited for."""

import logging
from uuid import UUID

from redis.exceptions import RedisError

from chatapp.answers.events import Part
from chatapp.endpoints.deltas import Delta
from chatapp.programs import log

logger = logging.getLogger(__name__)

PARTS: tuple[Part, ...] = ("reasoning", "text")


class Saying:
    def __init__(self, call_id: UUID) -> None:
        self._call_id = call_id
        self._said: dict[Part, str] = {part: "" for part in PARTS}
        self._told: dict[Part, int] = dict.fromkeys(PARTS, 0)
        self._is_away = False

    @property
    def text(self) -> str:
        return self._said["text"]

    @property
    def reasoning(self) -> str:
        return self._said["reasoning"]

    @property
    def has_begun(self) -> bool:
        return any(self._said.values())

    async def add(self, delta: Delta) -> None:
        self._said[delta.part] += delta.text
        try:
            for part in PARTS:
                await self._tell(part)
            self._is_away = False
        except RedisError as error:
            if not self._is_away:
                logger.warning("call %s is not told: %s", self._call_id, type(error).__name__)
            self._is_away = True

    async def _tell(self, part: Part) -> None:
        told, said = self._told[part], self._said[part]
        if told < len(said):
            await log.say(self._call_id, part, told, said[told:])
            self._told[part] = len(said)
