"""The channel layer of the doorbells: groups over Valkey's pub/sub, and sockets that open while Valkey is away."""

import asyncio
from uuid import uuid4

from channels_redis.pubsub import RedisPubSubChannelLayer


class GroupLayer(RedisPubSubChannelLayer):  # type: ignore[misc]  # channels_redis has no types
    async def new_channel(self, prefix: str = "specific.") -> str:
        """A channel that only groups reach, inside this process: nobody rings a single socket from outside.

        The original subscribes to it in Valkey, so that a socket opened while Valkey was away was refused with a 500.
        """
        layer = self._get_layer()
        channel = f"{layer.prefix}{prefix}{uuid4().hex}"
        layer.channels[channel] = asyncio.Queue()
        return channel
