"""Who works on a call: claims by compare-and-set with a lease and a fence, on the database's clock.

A call whose model may have begun is never given to a second runner: its program hears that it was interrupted.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from chatapp.answers.claims import LEASE_S
from chatapp.answers.models import ENDED, Status
from chatapp.programs.models import Call
from chatapp.programs.result import Result
from chatapp.usage.recording import end_left_open

logger = logging.getLogger(__name__)

WATCHED_EVERY_S = 5.0
UNWATCHED_S = 30.0  # six looks that were missed: the web process is gone, and so is whoever asked it
KEPT_ENDED = timedelta(minutes=1)  # of what is not stored, for whoever waits to read it
KEPT_STORED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class CallClaim:
    """The right to end one call, as long as `fence` is the call's own."""

    call_id: UUID
    fence: int


@dataclass(frozen=True, slots=True)
class CallEnding:
    status: Status
    error_code: str = ""
    error_detail: str = ""
    retry_after_s: int | None = None
    result: Result | None = None


# In turn, as answers: first everybody's first, then their second, counting what of theirs runs already.
_CLAIM = """
WITH busy AS (
    SELECT k.owner_id, count(*) AS running
    FROM programs_call c JOIN programs_apikey k ON k.id = c.key_id
    WHERE c.status = 'running'
    GROUP BY k.owner_id
), ready AS (
    SELECT c.id,
           coalesce(b.running, 0) + row_number() OVER (PARTITION BY k.owner_id ORDER BY c.created_at, c.id) AS turn
    FROM programs_call c JOIN programs_apikey k ON k.id = c.key_id LEFT JOIN busy b ON b.owner_id = k.owner_id
    WHERE c.status = 'queued'
), chosen AS (
    SELECT c.id
    FROM programs_call c LEFT JOIN ready r ON r.id = c.id
    WHERE (c.status = 'queued' AND r.id IS NOT NULL)
       OR (c.status = 'running' AND NOT c.is_sent AND c.lease_expires_at <= clock_timestamp())
    ORDER BY r.turn NULLS FIRST, c.created_at, c.id
    LIMIT %s
    FOR UPDATE OF c SKIP LOCKED
)
UPDATE programs_call c
SET status = 'running', fence = c.fence + 1, lease_expires_at = clock_timestamp() + make_interval(secs => %s)
FROM chosen WHERE c.id = chosen.id
RETURNING c.id, c.fence
"""
_RENEW = """
UPDATE programs_call c
SET lease_expires_at = clock_timestamp() + make_interval(secs => %s)
FROM unnest(%s::uuid[], %s::int[]) AS held (id, fence)
WHERE c.id = held.id AND c.fence = held.fence AND c.status = 'running'
RETURNING c.id, c.cancel_requested_at IS NOT NULL OR c.watched_at < clock_timestamp() - make_interval(secs => %s)
"""


def claim_calls(limit: int) -> list[CallClaim]:
    """At most `limit`."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [limit, LEASE_S])
        return [CallClaim(*row) for row in cursor.fetchall()]


def renew(claims: Sequence[CallClaim]) -> dict[UUID, bool]:
    """Those still held, each with whether nobody wants it any more."""
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, [LEASE_S, [c.call_id for c in claims], [c.fence for c in claims], UNWATCHED_S])
        return dict(cursor.fetchall())


def cancelled_among(call_ids: Collection[UUID]) -> set[UUID]:
    asked = Call.objects.filter(pk__in=call_ids, cancel_requested_at__isnull=False)
    return set(asked.values_list("pk", flat=True))


def mark_sent(claim: CallClaim) -> bool:
    """False where the call is no longer this runner's; so with the others."""
    return bool(Call.objects.filter(_held_by(claim)).update(is_sent=True))


def release(claim: CallClaim) -> bool:
    """Back into the queue, unless the model may have begun."""
    return bool(Call.objects.filter(_held_by(claim), is_sent=False).update(status=Status.QUEUED, fence=F("fence") + 1))


def end_call(claim: CallClaim, ending: CallEnding) -> bool:
    """The one compare-and-set that ends a call."""
    return bool(
        Call.objects.filter(_held_by(claim)).update(
            status=ending.status,
            ended_at=Now(),
            error_code=ending.error_code,
            error_detail=ending.error_detail[:500],
            retry_after_s=ending.retry_after_s,
            result=ending.result.to_json() if ending.result else None,
        )
    )


def end_lost() -> list[UUID]:
    """Calls whose runner is gone, and queued ones that nobody waits for; returns the former."""
    unwatched = Call.objects.filter(status=Status.QUEUED, watched_at__lt=Now() - timedelta(seconds=UNWATCHED_S))
    unwatched.update(status=Status.CANCELLED, fence=F("fence") + 1, ended_at=Now())
    return [call_id for call_id in _lost() if _end_one_lost(call_id)]


def remove_ended() -> None:
    """What was told, or would have been; and what was stored a month ago."""
    stored = Q(is_stored=True, status=Status.FINISHED)
    old = (~stored & Q(ended_at__lt=Now() - KEPT_ENDED)) | Q(ended_at__lt=Now() - KEPT_STORED)
    Call.objects.filter(old, status__in=ENDED).delete()


def _lost() -> list[UUID]:
    lost = Call.objects.filter(status=Status.RUNNING, is_sent=True, lease_expires_at__lte=Now())
    return list(lost.values_list("pk", flat=True)[:100])


@transaction.atomic
def _end_one_lost(call_id: UUID) -> bool:
    lost = Call.objects.filter(pk=call_id, status=Status.RUNNING, is_sent=True, lease_expires_at__lte=Now())
    if not lost.update(status=Status.FAILED, error_code="interrupted", fence=F("fence") + 1, ended_at=Now()):
        return False
    end_left_open(call_id)
    logger.info("call %s was lost by its runner", call_id)
    return True


def _held_by(claim: CallClaim) -> Q:
    return Q(pk=claim.call_id, fence=claim.fence, status=Status.RUNNING)
