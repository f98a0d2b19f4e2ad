"""Signing in and out, and the list of a person's sessions."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth import login, update_session_auth_hash
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone

from chatapp.accounts.models import SignIn, User
from chatapp.accounts.signals import announce_rights, keys_ended

SEEN_EVERY = timedelta(minutes=5)  # "last seen" is for people: finer would be a write a request

_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One line of the list of sessions."""

    id: UUID
    browser: str  # empty where the browser did not say
    system: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    is_current: bool
    is_active: bool  # seen so lately that "0 minutes ago" would be the words


def sign_in(request: HttpRequest, user: User) -> None:
    """Start a session of this person under a fresh key."""
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    _record(request, user)


def change_password(request: HttpRequest, user: User, password: str) -> None:
    """A new password ends every other session; this one goes on under a fresh key."""
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        end_others(user, request.session.session_key)
        update_session_auth_hash(request, user)
        _record(request, user)


def list_sessions(user: User, current_key: str | None) -> list[SessionRow]:
    """The sessions that still work, the newest seen first."""
    rows = user.sign_ins.filter(session__expire_date__gt=Now()).order_by("-last_seen_at")
    return [
        SessionRow(
            id=row.id,
            browser=_first(_BROWSERS, row.user_agent),
            system=_first(_SYSTEMS, row.user_agent),
            address=row.address,
            created_at=row.created_at,
            last_seen_at=row.last_seen_at,
            is_current=row.session_id == current_key,
            is_active=timezone.now() - row.last_seen_at < 2 * SEEN_EVERY,
        )
        for row in rows
    ]


def end_session(user: User, sign_in_id: UUID) -> bool:
    """End one of this person's own sessions; False where it is not theirs or gone."""
    ended, _ = Session.objects.filter(sign_in__id=sign_in_id, sign_in__user=user).delete()
    announce_rights(user.pk)
    return ended > 0


@transaction.atomic
def end_others(user: User, current_key: str | None, *, with_keys: bool = False) -> int:
    """Keys of programs are no sessions, and live on unless it is said otherwise."""
    if with_keys:
        keys_ended.send(sender=None, person_id=user.pk)
    return _end(user, Session.objects.filter(sign_in__user=user).exclude(session_key=current_key))


def end_all(user: User) -> int:
    """Everywhere, here too; their open sockets close at once."""
    return _end(user, Session.objects.filter(sign_in__user=user))


def mark_seen(session_key: str) -> None:
    SignIn.objects.filter(session_id=session_key, last_seen_at__lt=Now() - SEEN_EVERY).update(last_seen_at=Now())


def _end(user: User, sessions: QuerySet[Session]) -> int:
    num_ended = sessions.count()
    sessions.delete()
    announce_rights(user.pk)
    return num_ended


def _record(request: HttpRequest, user: User) -> None:
    if request.session.session_key is None:
        request.session.create()
    request.session.save()
    SignIn.objects.update_or_create(
        session_id=request.session.session_key,
        defaults={
            "user": user,
            "user_agent": re.sub(r"[^ -~]", "", request.META.get("HTTP_USER_AGENT", ""))[:300],
            "address": request.META.get("REMOTE_ADDR", "")[:45],
        },
    )


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for mark, name in names if mark in user_agent), "")
