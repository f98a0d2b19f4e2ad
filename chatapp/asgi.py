"""The web process: pages over HTTP, one websocket a tab. Run: `uvicorn chatapp.asgi:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")

from django.core.asgi import get_asgi_application  # noqa: E402

django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from chatapp.answers.consumer import ConversationConsumer  # noqa: E402
from chatapp.security import SameOrigin  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": SameOrigin(AuthMiddlewareStack(URLRouter([path("ws", ConversationConsumer.as_asgi())]))),
    }
)
