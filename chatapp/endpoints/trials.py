"""Trying an endpoint: asked for by the owner's page, done by a worker, read back by the page.

The web process never calls a model itself. A trial nobody has ended after LONGEST counts as unanswered.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError

from chatapp.celery import app
from chatapp.endpoints.models import Endpoint
from chatapp.errors import Unavailable

LONGEST = timedelta(minutes=3)  # six short questions, even to a slow thinking model
TASK = "chatapp.endpoints.tasks.try_endpoint"

CHECKS = {
    "models": _("The model is in the endpoint's list"),
    "answer": _("A question is answered"),
    "stream": _("The answer is streamed"),
    "first_token": _("Time to the first token"),
    "usage": _("Token counts are reported"),
    "seed": _("A seed is taken"),
    "reasoning": _("It shows its thinking"),
    "continuation": _("A cut answer can be continued"),
    "tools": _("It calls tools"),
}
OUTCOMES = {"yes": _("yes"), "no": _("no"), "unknown": _("not known")}


@dataclass(frozen=True, slots=True)
class TrialLine:
    check: str | Promise
    outcome: str
    outcome_name: str | Promise
    detail: str


@dataclass(frozen=True, slots=True)
class Trial:
    """`state`: none, running, unanswered (no worker came), ok, failed."""

    state: str
    lines: tuple[TrialLine, ...] = ()
    ended_at: datetime | None = None


def begin_trial(endpoint: Endpoint) -> None:
    """Ask a worker to try it. Raises Unavailable while the broker is away."""
    trial = uuid4().hex
    Endpoint.objects.filter(pk=endpoint.pk).update(
        probe_report={"trial": trial, "began_at": timezone.now().isoformat()}, probed_at=None
    )
    try:
        app.send_task(TASK, (str(endpoint.pk), trial), expires=LONGEST.total_seconds(), retry=False)
    except OperationalError as error:
        Endpoint.objects.filter(pk=endpoint.pk).update(probe_report={})
        raise Unavailable from error


def is_wanted(endpoint_id: UUID, trial: str) -> bool:
    """Whether this trial is still the one waited for: a task delivered twice, or overtaken, does nothing."""
    return Endpoint.objects.filter(pk=endpoint_id, probe_report__trial=trial).exists()


def read_trial(endpoint: Endpoint) -> Trial:
    report: dict[str, Any] = endpoint.probe_report
    if "lines" in report:
        lines = tuple(_line(line) for line in report["lines"])
        return Trial("ok" if report["ok"] else "failed", lines, endpoint.probed_at)
    if "began_at" not in report:
        return Trial("none")
    is_late = timezone.now() - datetime.fromisoformat(report["began_at"]) > LONGEST
    return Trial("unanswered" if is_late else "running")


def _line(line: dict[str, str]) -> TrialLine:
    return TrialLine(CHECKS[line["check"]], line["outcome"], OUTCOMES[line["outcome"]], line["detail"])
