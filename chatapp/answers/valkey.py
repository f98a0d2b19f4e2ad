"""Connections to Valkey: one pool for threads, one for each event loop."""

import asyncio
from functools import cache
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff

# A connection that a restart has closed is only noticed in use: one immediate second try opens a new one. What is
# away for longer is the caller's to wait for. No command of ours blocks, so 5 s without a reply means a lost server.
_TRIES = 1
_CONNECT_TIMEOUT_S = 2.0
_REPLY_TIMEOUT_S = 5.0

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = WeakKeyDictionary()


@cache
def blocking_client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.CONFIG.redis_url,
        socket_timeout=_REPLY_TIMEOUT_S,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        retry=redis.retry.Retry(NoBackoff(), _TRIES),
    )


def client() -> redis.asyncio.Redis:
    """The client of the running event loop: connections cannot move between loops."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = redis.asyncio.Redis.from_url(
            settings.CONFIG.redis_url,
            socket_timeout=_REPLY_TIMEOUT_S,
            socket_connect_timeout=_CONNECT_TIMEOUT_S,
            retry=redis.asyncio.retry.Retry(NoBackoff(), _TRIES),
        )
    return _clients[loop]
