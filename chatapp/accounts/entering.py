"""The way in: what is asked of a person before a session of theirs begins."""

import logging
import time
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import authenticate
from django.db.models import Value
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare

from chatapp.accounts import codes, directory, identities, lockout, sessions
from chatapp.accounts.models import User
from chatapp.accounts.throttle import Locked
from chatapp.config import Ldap

logger = logging.getLogger(__name__)

PENDING_S = 300  # to find the phone and type six digits
_PENDING = "pending"  # in the session


@dataclass(frozen=True, slots=True)
class Pending:
    user: User
    way_on: str


def check_password(request: HttpRequest, email: str, password: str) -> User | None:
    """The active person whose password this is. Takes as long for an unknown address. Raises Locked, Stranger."""
    try:
        attempt = lockout.begin_attempt(email, address_of(request), request.COOKIES.get(lockout.COOKIE, ""))
    except Locked as locked:
        logger.warning("sign-in locked for %d s, address %s", locked.wait_s, address_of(request))
        raise
    user = authenticate(request, username=email, password=password) or _ask_directory(email, password)
    if not isinstance(user, User):
        return None
    lockout.forgive(attempt)
    return user


def _ask_directory(email: str, password: str) -> User | None:
    """About people who have no password here. Raises Stranger: the password is right, and they may not come in."""
    directory_config: Ldap | None = settings.CONFIG.ldap
    here = User.objects.alias(folded=Lower("email")).filter(folded=Lower(Value(email))).first()
    if directory_config is None or (here is not None and here.has_usable_password()):
        return None
    known = directory.find(directory_config, email, password)
    return identities.person_for(known, directory_config.newcomers) if known else None


def go_on(request: HttpRequest, user: User, way_on: str) -> HttpResponse:
    """After the first step: in, or to the second one."""
    if not codes.is_on(user):
        return let_in(request, user, redirect(way_on))
    request.session.cycle_key()  # whoever knew the key before does not know the one that a code will open
    request.session.set_expiry(PENDING_S)
    request.session[_PENDING] = {
        "user": str(user.pk),
        "password": user.get_session_auth_hash(),
        "until": time.time() + PENDING_S,
        "way_on": way_on,
    }
    return redirect("enter_code")


def pending(request: HttpRequest) -> Pending | None:
    """Who has done the first step in this browser, for some minutes, and while nothing about them has changed."""
    held = request.session.get(_PENDING)
    if not isinstance(held, dict) or held["until"] < time.time():
        return None
    user = User.objects.filter(pk=held["user"], is_active=True).first()
    if user is None or not constant_time_compare(held["password"], user.get_session_auth_hash()):
        return None
    return Pending(user, held["way_on"])


def let_in(request: HttpRequest, user: User, response: HttpResponse) -> HttpResponse:
    """Begins the session and remembers the browser; returns the response."""
    request.session.pop(_PENDING, None)
    request.session.set_expiry(None)
    sessions.sign_in(request, user)
    lockout.remember_device(request, response, user.email)
    return response


def address_of(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))
