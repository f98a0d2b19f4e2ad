"""The outer guards of the site: what a page may load, where a socket may come from, who a session belongs to."""

from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host

from chatapp.accounts.models import User

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CLOSE_SIGNED_OUT = 4401
CLOSE_FOREIGN_ORIGIN = 4403

# connect-src 'self' covers our own ws: and wss: too (CSP 3).
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)

# A worker has the policy of its own script. This one decodes pictures of PDFs (fax, JBIG2, JPEG 2000) by WebAssembly,
# which is allowed there and nowhere else.
PDF_WORKER = "/static/vendor/pdf.worker.js"
PDF_WORKER_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"


class ContentSecurityPolicy:
    """Middleware: the policy on every response; a view that needs another one sets the header itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        policy = PDF_WORKER_POLICY if request.path == PDF_WORKER else CONTENT_SECURITY_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


class SameOrigin:
    """Closes a socket that a page of another site has opened; browsers send cookies along, but also their Origin.

    Accepted first: a socket refused before its handshake shows a browser no close code.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if is_own_origin(headers.get(b"origin", ""), headers.get(b"host", "")):
            await self._application(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": CLOSE_FOREIGN_ORIGIN})


def is_own_origin(origin: str, host: str) -> bool:
    """Whether Origin is one of SONDE_ORIGINS or names the Host that was asked, and that host is ours."""
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
        own_port = urlsplit(f"//{host}").port
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in (("https",) if settings.CONFIG.https else ("http", "https")):
        return False
    default_port = 443 if parts.scheme == "https" else 80
    domain, _ = split_domain_port(host)
    return (
        bool(domain)
        and validate_host(domain, settings.ALLOWED_HOSTS)
        and split_domain_port(parts.netloc)[0] == domain
        and (port or default_port) == (own_port or default_port)
    )


def signed_in_user(session_key: str | None) -> User | None:
    """The active person whose session this is, read afresh: None once it ended, or the person was suspended."""
    if not session_key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None
