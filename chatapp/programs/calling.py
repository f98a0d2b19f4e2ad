"""What the web process does to a call: asks, waits, calls off, lets go. One transaction each."""

import logging
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from chatapp.answers import doorbell
from chatapp.answers.models import ENDED, Status
from chatapp.endpoints.models import Endpoint
from chatapp.programs.asked import check_spending, need
from chatapp.programs.errors import ApiError, out_of_range, unsupported
from chatapp.programs.given import given_by, no_file
from chatapp.programs.models import Ability, ApiKey, Call
from chatapp.programs.offered import endpoint_for
from chatapp.programs.request import Asking, Delivery, file_id

logger = logging.getLogger(__name__)

CHANNEL = "calls"  # of the runner's bell
# Calls of one key that have not ended. Beyond it a program hears so at once, instead of in a queue of its own making.
MOST_AT_ONCE = 64


def ask(key: ApiKey, kind: str, asking: Asking, delivery: Delivery) -> Call:
    """Raises ApiError."""
    endpoint = endpoint_for(key, delivery.model)
    _check(asking, endpoint)
    _check_files(key, asking)
    check_spending(key)
    if key.calls.exclude(status__in=ENDED).count() >= MOST_AT_ONCE:
        words = f"This key has {MOST_AT_ONCE} calls under way, and may have no more; send it when one has ended."
        raise ApiError(429, "too_many_requests", words, retry_after_s=1)
    with transaction.atomic():
        call = Call.objects.create(
            key=key,
            kind=kind,
            endpoint=endpoint,
            model_id=delivery.model,
            request=asking.to_json(),
            is_stored=delivery.is_stored,
        )
        transaction.on_commit(partial(doorbell.ring_runner, "queued", call.pk, CHANNEL))
    logger.info("call %s queued key=%s endpoint=%s", call.pk, key.pk, endpoint.pk)
    return call


def watch(call_id: UUID) -> Call | None:
    """Says that somebody waits for it. The call where it has ended; raises Call.DoesNotExist where it is gone."""
    if Call.objects.filter(pk=call_id).exclude(status__in=ENDED).update(watched_at=Now()):
        return None
    return Call.objects.get(pk=call_id)


def cancel(call_id: UUID) -> None:
    """A queued one ends here, a running one is closed by its runner; an ended one stays ended. Safe to repeat."""
    _cancel([call_id])


def cancel_of_keys(key_ids: Sequence[UUID]) -> None:
    open_calls = Call.objects.filter(key__in=key_ids).exclude(status__in=ENDED)
    _cancel(list(open_calls.values_list("pk", flat=True)))


def let_go(call_id: UUID) -> None:
    """Its end was told: what is not an answer to be stored leaves with it."""
    Call.objects.filter(pk=call_id, status__in=ENDED).exclude(is_stored=True, status=Status.FINISHED).delete()


def _cancel(call_ids: Sequence[UUID]) -> None:
    """The fence moves too: a runner that claims one at this moment loses it."""
    calls = Call.objects.filter(pk__in=call_ids)
    calls.filter(status=Status.QUEUED).update(
        status=Status.CANCELLED, fence=F("fence") + 1, cancel_requested_at=Now(), ended_at=Now()
    )
    calls.filter(status=Status.RUNNING, cancel_requested_at=None).update(cancel_requested_at=Now())
    for id in calls.filter(status=Status.RUNNING).values_list("pk", flat=True):
        transaction.on_commit(partial(doorbell.ring_runner, "cancel", id, CHANNEL))


def _check_files(key: ApiKey, asking: Asking) -> None:
    """Files of programs alone: no key reads what its owner has in chats and collections."""
    if not asking.file_ids:
        return
    need(key, Ability.FILES)
    found = set(given_by(key.owner).filter(pk__in=asking.file_ids).values_list("pk", flat=True))
    for id in asking.file_ids:
        if id not in found:
            raise no_file(file_id(id), "messages")


def _check(asking: Asking, endpoint: Endpoint) -> None:
    """What is known of this endpoint. What else it does not take it says itself."""
    most = endpoint.max_output_tokens
    if asking.max_tokens is not None and asking.max_tokens > most:
        raise out_of_range("max_tokens", f"max_tokens={asking.max_tokens} must be from 1 to {most} for this model.")
    if asking.num_pictures and not endpoint.vision:
        raise unsupported("messages", "This model does not see: send no image_url.")
    if asking.thinking and endpoint.thinking == Endpoint.Thinking.NEVER:
        raise unsupported("thinking", "This model does not think: leave thinking out.")
    if asking.begun is not None and endpoint.continuation == Endpoint.Continuation.NONE:
        raise unsupported("messages", "This model cannot continue an answer: send no prefix.")
