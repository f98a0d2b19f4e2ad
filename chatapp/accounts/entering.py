"""The way in: what is asked of a person before a session of theirs begins."""

import logging

from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse

from chatapp.accounts import lockout, sessions
from chatapp.accounts.models import User
from chatapp.accounts.throttle import Locked

logger = logging.getLogger(__name__)


def check_password(request: HttpRequest, email: str, password: str) -> User | None:
    """The active person whose password this is. Takes as long for an unknown address. Raises Locked."""
    try:
        attempt = lockout.begin_attempt(email, address_of(request), request.COOKIES.get(lockout.COOKIE, ""))
    except Locked as locked:
        logger.warning("sign-in locked for %d s, address %s", locked.wait_s, address_of(request))
        raise
    user = authenticate(request, username=email, password=password)
    if not isinstance(user, User):
        return None
    lockout.forgive(attempt)
    return user


def let_in(request: HttpRequest, user: User, response: HttpResponse) -> HttpResponse:
    """Begins the session and remembers the browser; returns the response."""
    sessions.sign_in(request, user)
    lockout.remember_device(request, response, user.email)
    return response


def address_of(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))
