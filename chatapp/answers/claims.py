"""Who works on an answer: claims by compare-and-set with a lease and a fence, all on the database's clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from chatapp.answers.models import Answer, Status

LEASE_S = 10.0
RENEW_S = 3.0  # two renewals may be lost before the lease is


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write for one answer, as long as `fence` is the answer's own."""

    answer_id: UUID
    message_id: UUID
    conversation_id: UUID
    fence: int


# A queued answer waits while any message above it on its branch still has an open answer. The others are ready, and
# come in turn: first everybody's first, then their second, counting what of theirs runs already, so that nobody waits
# for somebody who has asked a hundred things at once.
_READY = """
WITH RECURSIVE above (answer_id, message_id) AS (
    SELECT a.id, m.parent_id
    FROM answers_answer a JOIN conversations_message m ON m.id = a.message_id
    WHERE a.status = 'queued'
  UNION ALL
    SELECT above.answer_id, m.parent_id
    FROM above JOIN conversations_message m ON m.id = above.message_id
), waiting AS (
    SELECT above.answer_id
    FROM above JOIN answers_answer o ON o.message_id = above.message_id
    WHERE o.status IN ('queued', 'running')
), busy AS (
    SELECT asked_by_id, count(*) AS running
    FROM answers_answer
    WHERE status = 'running'
    GROUP BY asked_by_id
), ready AS (
    SELECT a.id, a.created_at,
           coalesce(b.running, 0) + row_number() OVER (PARTITION BY a.asked_by_id ORDER BY a.created_at, a.id) AS turn
    FROM answers_answer a LEFT JOIN busy b ON b.asked_by_id = a.asked_by_id
    WHERE a.status = 'queued' AND a.id NOT IN (SELECT answer_id FROM waiting)
)
"""

# Rows that another runner is claiming at this moment are skipped, not waited for.
_CLAIM = (
    _READY
    + """
, chosen AS (
    SELECT a.id
    FROM answers_answer a LEFT JOIN ready r ON r.id = a.id
    WHERE (a.status = 'queued' AND r.id IS NOT NULL)
       OR (a.status = 'running' AND a.lease_expires_at <= clock_timestamp())
    ORDER BY r.turn NULLS FIRST, a.created_at, a.id
    LIMIT %s
    FOR UPDATE OF a SKIP LOCKED
)
UPDATE answers_answer a
SET status = 'running',
    fence = a.fence + 1,
    lease_expires_at = clock_timestamp() + make_interval(secs => %s),
    started_at = coalesce(a.started_at, clock_timestamp())
FROM chosen, conversations_message m
WHERE a.id = chosen.id AND m.id = a.message_id
RETURNING a.id, a.message_id, m.conversation_id, a.fence
"""
)

_PLACES = _READY + "SELECT id, row_number() OVER (ORDER BY turn, created_at, id) FROM ready ORDER BY 2 LIMIT %s"


def claim_answers(limit: int, lease_s: float = LEASE_S) -> list[Claim]:
    """At most `limit`: running ones whose lease has expired, then queued ones that need not wait, in turn."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [limit, lease_s])
        return [Claim(*row) for row in cursor.fetchall()]


def places(limit: int) -> list[tuple[UUID, int]]:
    """The first of the answers that only wait for a runner, with their places; 1 is the next to be claimed."""
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, [limit])
        found: list[tuple[UUID, int]] = cursor.fetchall()
        return found


# Works on an expired lease too, as long as nobody has taken the answer over: a runner that was cut off from the
# database for a while goes on where it paused.
_RENEW = """
UPDATE answers_answer a
SET lease_expires_at = clock_timestamp() + make_interval(secs => %s)
FROM unnest(%s::uuid[], %s::int[]) AS held (id, fence)
WHERE a.id = held.id AND a.fence = held.fence AND a.status = 'running'
RETURNING a.id, a.cancel_requested_at IS NOT NULL
"""


def renew(claims: Sequence[Claim], lease_s: float = LEASE_S) -> dict[UUID, bool]:
    """The answers still held, each with whether its cancelling was asked for. One that is missing is lost."""
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, [lease_s, [c.answer_id for c in claims], [c.fence for c in claims]])
        return dict(cursor.fetchall())


def release(claim: Claim) -> None:
    """The next runner may take the answer over at once."""
    Answer.objects.filter(held_by(claim)).update(lease_expires_at=Now())


def cancelled_among(answer_ids: Iterable[UUID]) -> set[UUID]:
    asked = Answer.objects.filter(id__in=list(answer_ids), cancel_requested_at__isnull=False)
    return set(asked.values_list("id", flat=True))


def held_by(claim: Claim) -> Q:
    """The compare of every compare-and-set that a runner does."""
    return Q(id=claim.answer_id, fence=claim.fence, status=Status.RUNNING)
