"""The web process: pages over HTTP, one websocket a tab. Run: `uvicorn chatapp.asgi:application`."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")

from django.core.asgi import get_asgi_application  # noqa: E402

django_application: Any = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.signals import request_finished  # noqa: E402
from django.db import connections  # noqa: E402
from django.urls import path  # noqa: E402

from chatapp.answers.consumer import ConversationConsumer  # noqa: E402
from chatapp.bodies import BodyLimit  # noqa: E402
from chatapp.programs.gate import most_bytes  # noqa: E402
from chatapp.security import SameOrigin  # noqa: E402


def close_connections(**_signal: object) -> None:
    """Under ASGI every request has a thread of its own: a connection kept for the next one would only be leaked.

    400 requests, 16 at a time, filled a server of 60 connections; the threads of chatapp.threads do keep theirs.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # a test's own transaction
            connection.close()


request_finished.connect(close_connections)

application = ProtocolTypeRouter(
    {
        "http": BodyLimit(django_application, most_bytes),
        "websocket": SameOrigin(AuthMiddlewareStack(URLRouter([path("ws", ConversationConsumer.as_asgi())]))),
    }
)
