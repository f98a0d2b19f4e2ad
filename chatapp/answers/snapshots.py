"""Rows that a runner writes: the snapshot every two seconds, and the end. Both only under its fence."""

import hashlib
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from chatapp.answers.claims import Claim, held_by
from chatapp.answers.models import Answer, Status
from chatapp.answers.progress import Progress
from chatapp.conversations.models import Message

SNAPSHOT_S = 2.0  # the log is never the only copy for longer


@dataclass(frozen=True, slots=True)
class Ending:
    """The terminal state of an answer, and what is known of its cost."""

    status: Status
    error_code: str = ""
    error_detail: str = ""
    finish_reason: str = ""
    model_name: str = ""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    usage_estimated: bool = False


def failed(code: str, detail: str = "") -> Ending:
    return Ending(Status.FAILED, error_code=code, error_detail=detail[:500])


def save_request(claim: Claim, request: dict[str, Any]) -> bool:
    """False where the answer is no longer this runner's; so with the others."""
    return bool(Answer.objects.filter(held_by(claim)).update(request=request))


def save_snapshot(claim: Claim, progress: Progress) -> bool:
    return _write(claim, progress, {})


def end_answer(claim: Claim, ending: Ending, progress: Progress | None, *, is_replay_changed: bool = False) -> bool:
    """The one compare-and-set that ends an answer. Its event comes after the commit.

    Without progress (its rows could not be read) what they hold stays.
    """
    with transaction.atomic():
        answer = (
            Answer.objects.select_for_update(of=("self",)).select_related("replay_of").filter(held_by(claim)).first()
        )
        if answer is None:
            return False
        sha256 = text_sha256(progress.attempt_text) if progress else ""
        end: dict[str, Any] = {
            "status": ending.status,
            "ended_at": Now(),
            "error_code": ending.error_code,
            "error_detail": ending.error_detail,
            "finish_reason": ending.finish_reason[:30],
            "model_name": ending.model_name[:200],
            "prompt_tokens": ending.prompt_tokens,
            "cached_tokens": ending.cached_tokens,
            "completion_tokens": ending.completion_tokens,
            "usage_estimated": ending.usage_estimated,
            "request": {**answer.request, "text_sha256": sha256},
        }
        if answer.replay_of is not None and ending.status == Status.FINISHED:
            end["replay_equal"] = not is_replay_changed and answer.replay_of.request.get("text_sha256") == sha256
        return _write(claim, progress, end)


@transaction.atomic
def _write(claim: Claim, progress: Progress | None, more: dict[str, Any]) -> bool:
    """The answer's row first: its lock puts a late snapshot behind the end, where the compare then fails."""
    columns = {**(_columns(progress) if progress else {}), **more}
    written = Answer.objects.filter(held_by(claim)).update(**columns)
    if written and progress:
        Message.objects.filter(id=claim.message_id).update(text=progress.text)
    return bool(written)


def _columns(progress: Progress) -> dict[str, Any]:
    position = progress.position
    return {
        "reasoning": progress.reasoning,
        "token_ids": progress.token_ids,
        "snapshot_epoch": position.epoch if position else "",
        "snapshot_seq": position.seq if position else 0,
        "notices": progress.notices,
        "first_token_ms": progress.first_token_ms,
        "thinking_ms": progress.thinking_ms,
        "generation_ms": progress.generation_ms,
    }


def text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
