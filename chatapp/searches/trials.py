"""Trying the engine: asked for by the owner's page, done by a worker, read back by the page.

The web process asks no engine itself. A trial that nobody has ended after LONGEST counts as unanswered.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import OperationalError

from chatapp.celery import app
from chatapp.errors import Unavailable
from chatapp.searches.found import host_of
from chatapp.searches.models import WebSetting
from chatapp.searches.words import engine_name, failure_words

LONGEST = timedelta(seconds=30)  # an engine has six seconds
TASK = "chatapp.searches.tasks.try_engine"
SHOWN = 5  # results


@dataclass(frozen=True, slots=True)
class TrialResult:
    title: str
    site: str
    snippet: str


@dataclass(frozen=True, slots=True)
class TrialFailure:
    words: str
    detail: str


@dataclass(frozen=True, slots=True)
class Trial:
    """`state`: none, running, unanswered (no worker came), ok, nothing (asked, and nothing found), failed."""

    state: str
    query: str = ""
    engine: str = ""
    seconds: float = 0.0
    num: int = 0
    results: tuple[TrialResult, ...] = ()
    failures: tuple[TrialFailure, ...] = ()
    ended_at: datetime | None = None


def begin_trial(query: str) -> None:
    """Ask a worker to try it. Raises Unavailable while the broker is away."""
    trial = uuid4().hex
    WebSetting.objects.get_or_create(pk=1)
    report = {"trial": trial, "query": query, "began_at": timezone.now().isoformat()}
    WebSetting.objects.filter(pk=1).update(trial=report, tried_at=None)
    try:
        app.send_task(TASK, (trial,), queue="search", expires=LONGEST.total_seconds(), retry=False)
    except OperationalError as error:
        WebSetting.objects.filter(pk=1).update(trial={})
        raise Unavailable from error


def wanted_query(trial: str) -> str:
    """What this trial asks; empty where another is waited for: a task delivered twice, or overtaken, does nothing."""
    report = WebSetting.objects.filter(pk=1, trial__trial=trial).values_list("trial", flat=True).first()
    return str(report["query"]) if report else ""


def store_report(trial: str, report: dict[str, Any]) -> None:
    WebSetting.objects.filter(pk=1, trial__trial=trial).update(trial=report, tried_at=Now())


def read_trial(setting: WebSetting) -> Trial:
    report: dict[str, Any] = setting.trial
    if "results" in report:
        return _ended(report, setting.tried_at)
    if "began_at" not in report:
        return Trial("none")
    is_late = timezone.now() - datetime.fromisoformat(report["began_at"]) > LONGEST
    return Trial("unanswered" if is_late else "running", report["query"])


def _ended(report: dict[str, Any], ended_at: datetime | None) -> Trial:
    results, failures = report["results"], report["failures"]
    return Trial(
        state="ok" if results else "failed" if failures else "nothing",
        query=report["query"],
        engine=engine_name(report["engine"]),
        seconds=report["ms"] / 1000,
        num=report["num"],
        results=tuple(TrialResult(each["title"], host_of(each["url"]), each["snippet"]) for each in results),
        failures=tuple(TrialFailure(failure_words(each["engine"], each["code"]), each["detail"]) for each in failures),
        ended_at=ended_at,
    )
