"""Bells: something is new in a conversation, in a person's list, for the runner. Delivered at most once.

A bell says only that it is worth looking; whoever missed it looks within seconds anyway. So a bell that cannot be
rung is worth a line, never an error.
"""

import asyncio
import logging
from collections.abc import Awaitable
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from chatapp.answers.valkey import blocking_client

logger = logging.getLogger(__name__)

_PATIENCE_S = 1.0
RUNNER_CHANNEL = "runner"  # plain Valkey pub/sub; the payload is "queued <answer>" or "cancel <answer>"


def conversation_group(conversation_id: UUID) -> str:
    return f"conversation.{conversation_id}"


def person_group(user_id: UUID) -> str:
    return f"person.{user_id}"


async def ring_conversation(conversation_id: UUID) -> None:
    await _ring(conversation_group(conversation_id), {"type": "log.grew", "conversation": str(conversation_id)})


async def ring_rights(conversation_id: UUID) -> None:
    """Somebody may have lost the right to read: sockets ask again now rather than at their next look."""
    await _ring(conversation_group(conversation_id), {"type": "rights.changed"})


async def ring_list(user_id: UUID) -> None:
    await _ring(person_group(user_id), {"type": "list.changed"})


async def ring_person(user_id: UUID) -> None:
    """Their session may have ended, or what they may read is not what it was: their sockets ask again."""
    await _ring(person_group(user_id), {"type": "rights.changed"})


def ring_conversation_blocking(conversation_id: UUID) -> None:
    async_to_sync(ring_conversation)(conversation_id)


def ring_rights_blocking(conversation_id: UUID) -> None:
    async_to_sync(ring_rights)(conversation_id)


def ring_list_blocking(user_id: UUID) -> None:
    async_to_sync(ring_list)(user_id)


def ring_person_blocking(user_id: UUID) -> None:
    async_to_sync(ring_person)(user_id)


def ring_runner(word: str, id: UUID, channel: str = RUNNER_CHANNEL) -> None:
    """`id` of an answer, or of what else this channel's runner works on."""
    try:
        blocking_client().publish(channel, f"{word} {id}")
    except RedisError as error:
        logger.warning("runner not rung for %s: %s", id, type(error).__name__)


async def quietly(work: Awaitable[None], name: str) -> None:
    """Bells that cannot be reached keep nobody waiting."""
    try:
        await asyncio.wait_for(work, _PATIENCE_S)
    except (RedisError, OSError, TimeoutError) as error:
        logger.warning("bell %s out of reach: %s", name, type(error).__name__)


async def _ring(group: str, message: dict[str, str]) -> None:
    layer = get_channel_layer()
    assert layer is not None, "CHANNEL_LAYERS is set"
    await quietly(layer.group_send(group, message), group)
