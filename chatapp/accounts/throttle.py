"""Counting tries under a key, and making whoever fails too often wait: longer each time, and minutes at most.

Kept as rows: a restarted broker must not reopen a door. A try is counted as failed before it is made, so that
parallel guesses cannot slip past; one that succeeds takes its count back. Refused tries do not lengthen the wait.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from chatapp.accounts.models import Throttle
from chatapp.errors import ChatError, Words

FORGOTTEN = timedelta(minutes=15)  # without a further try
FIRST_WAIT_S = 5.0  # doubled by each further failure

Kind = Literal["pair", "device", "account", "address", "code", "join", "token"]


@dataclass(frozen=True, slots=True)
class Limit:
    free: int  # failures that cost nothing
    longest_s: float


LIMITS: dict[Kind, Limit] = {
    # One person mistypes a few times; more is guessing.
    "pair": Limit(5, 300),
    "device": Limit(5, 300),
    # One account guessed at from many places. The wait is short: only browsers that the person has never signed in
    # with stand before it (see lockout.py), and 1,440 guesses a day find no password of ten characters.
    "account": Limit(20, 60),
    # Many accounts from one place, which may be an office.
    "address": Limit(50, 300),
    # Six digits, of which three are right at any time: 5 guesses, then 12 an hour.
    "code": Limit(5, 300),
    # Each costs a slow hash, and tells whether an address is somebody's.
    "join": Limit(10, 300),
    "token": Limit(20, 300),
}


class Locked(ChatError):
    status: ClassVar[int] = 429

    def __init__(self, wait_s: float) -> None:
        super().__init__("locked", _("Too many tries. Please try again in %(wait)s.") % {"wait": _words(wait_s)})
        self.wait_s = math.ceil(wait_s)


@dataclass(frozen=True, slots=True)
class Key:
    kind: Kind
    value: str

    @property
    def hashed(self) -> str:
        """Keyed: what strangers type (a password in the wrong field) is not stored readably."""
        return salted_hmac("chatapp.accounts.throttle", f"{self.kind}:{self.value}", algorithm="sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try about to be made, already counted as failed."""

    keys: tuple[Key, ...]

    def succeeded(self, *forgotten: Kind) -> None:
        """Takes the count back; under the kinds named, all earlier failures are forgotten too."""
        cleared = [key.hashed for key in self.keys if key.kind in forgotten]
        Throttle.objects.filter(key__in=cleared).delete()
        rows = Throttle.objects.filter(key__in=[key.hashed for key in self.keys])
        rows.update(failures=Greatest(F("failures") - 1, 0), locked_until=Now())


@transaction.atomic
def begin(*keys: Key) -> Attempt:
    """Raises Locked, and counts nothing, where any of the keys has to wait."""
    limits = {key.hashed: LIMITS[key.kind] for key in keys}
    # In the order of keys, here and below: two that share some of them never wait for each other in a circle.
    Throttle.objects.bulk_create([Throttle(key=hashed) for hashed in sorted(limits)], ignore_conflicts=True)
    rows = list(Throttle.objects.select_for_update().filter(key__in=limits).order_by("key"))
    now = _now()
    longest_s = max(((row.locked_until - now).total_seconds() for row in rows), default=0.0)
    if longest_s > 0:
        raise Locked(longest_s)
    for row in rows:
        row.failures = 1 if row.updated_at < now - FORGOTTEN else row.failures + 1
        row.locked_until = now + timedelta(seconds=wait_after(row.failures, limits[row.key]))
        row.updated_at = now
        row.save(update_fields=["failures", "locked_until", "updated_at"])
    return Attempt(keys)


def forget_old() -> int:
    """Rows that count for nothing any more; those in use just now are left to the next time."""
    old = Throttle.objects.filter(updated_at__lt=Now() - FORGOTTEN)
    with transaction.atomic():
        keys = list(old.select_for_update(skip_locked=True).values_list("key", flat=True))
        return Throttle.objects.filter(key__in=keys).delete()[0]


def wait_after(failures: int, limit: Limit) -> float:
    """Seconds until the next try."""
    beyond = failures - limit.free
    return min(limit.longest_s, FIRST_WAIT_S * 2.0 ** min(beyond - 1, 30)) if beyond > 0 else 0.0


def _now() -> datetime:
    """The database's clock in a statement of its own: that of the one that waited for the locks is from before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def _words(wait_s: float) -> Words:
    seconds = math.ceil(wait_s)
    if seconds <= 90:
        return ngettext_lazy("%(n)s second", "%(n)s seconds", seconds) % {"n": seconds}
    minutes = math.ceil(seconds / 60)
    return ngettext_lazy("%(n)s minute", "%(n)s minutes", minutes) % {"n": minutes}
