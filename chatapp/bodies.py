"""How large a request may be. Asked before its body is taken: Django stores a body of any size before a view looks."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.http import HttpRequest
from django.utils import translation
from django.utils.translation import gettext as _

from chatapp.security import Application, Receive, Scope, Send

# A chunk of an upload, the largest that our own pages send; a form or a JSON object has far less.
MAX_BODY = 8 * 1024 * 1024


class TooLarge(Exception):
    pass


class BodyLimit:
    """Wraps the HTTP application: 413 for a body beyond what `most_bytes` lets in, announced or not."""

    def __init__(self, application: Application, most_bytes: Callable[[Scope], Awaitable[int]]) -> None:
        self._application = application
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = most = await self._most_bytes(scope)

        async def counted() -> MutableMapping[str, Any]:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise TooLarge
            return message

        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        try:
            if announced.isdigit() and int(announced) > most:
                raise TooLarge
            await self._application(scope, counted, send)
        except TooLarge:
            await _refuse(headers, most, send)


async def _refuse(headers: dict[bytes, bytes], most: int, send: Send) -> None:
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get(b"accept-language", b"").decode("latin-1")
    with translation.override(translation.get_language_from_request(request)):
        words = _("A request may have at most %(limit)s MB.") % {"limit": most // 1024**2}
    body = json.dumps({"error": {"code": "too_large", "message": words}}, ensure_ascii=False).encode()
    fields = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": fields})
    await send({"type": "http.response.body", "body": body})
