"""What was spent, summed for people: over days of UTC, and by model, key, person or group. The viewer comes first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from django.db.models import Case, Count, F, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Concat, TruncDate
from django.utils.translation import gettext as _

from chatapp.accounts.models import User
from chatapp.errors import NotFound
from chatapp.people.rights import may_manage
from chatapp.usage.models import Spending

By = Literal["day", "model", "key", "person", "group"]
MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class Period:
    """Both days belong to it."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if not 0 <= (self.last - self.first).days < MOST_DAYS:
            raise ValueError(f"first={self.first}, last={self.last}: must be 1 to {MOST_DAYS} days")

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


@dataclass(frozen=True, slots=True)
class Sums:
    """`cost` and the two savings in USD: by the prefix cache, and against the endpoint's prices of dense attention."""

    requests: int = 0
    estimated: int = 0  # requests whose tokens we have counted ourselves
    cache_hit_tokens: int = 0
    cache_miss_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    cost_uncached: Decimal = Decimal(0)
    cost_dense: Decimal = Decimal(0)

    @property
    def prompt_tokens(self) -> int:
        return self.cache_hit_tokens + self.cache_miss_tokens

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @property
    def hit_percent(self) -> int:
        return round(100 * self.cache_hit_tokens / self.prompt_tokens) if self.prompt_tokens else 0

    @property
    def saved_by_cache(self) -> Decimal:
        return self.cost_uncached - self.cost

    @property
    def saved_by_sparse(self) -> Decimal:
        return self.cost_dense - self.cost


@dataclass(frozen=True, slots=True)
class Line:
    """`label` is what the sums belong to: a day as ISO, a model, a key, a person, a group."""

    label: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class Report:
    """`days` has every day of the period, the empty ones too."""

    period: Period
    total: Sums
    days: list[Line]
    lines: list[Line]


def own_report(viewer: User, period: Period, by: By) -> Report:
    return _report(Spending.objects.filter(user=viewer), period, "model" if by in ("person", "group") else by)


def team_report(viewer: User, period: Period, by: By) -> Report:
    """Raises NotFound for who does not look after the team."""
    if not may_manage(viewer):
        raise NotFound
    return _report(Spending.objects.all(), period, by)


def _report(spent: QuerySet[Spending], period: Period, by: By) -> Report:
    begin = datetime.combine(period.first, datetime.min.time(), UTC)
    spent = spent.filter(began_at__gte=begin, began_at__lt=begin + timedelta(days=len(period.days)))
    by_day = {line.label: line for line in _lines(spent, "day")}
    days = [by_day.get(day.isoformat(), Line(day.isoformat(), Sums())) for day in period.days]
    lines = [line for line in reversed(days) if line.sums.requests] if by == "day" else list(_lines(spent, by))
    return Report(period, _sums(spent.aggregate(**_COLUMNS)), days, lines)


_COLUMNS: dict[str, Any] = {
    "requests": Count("id"),
    "estimated": Count("id", filter=Q(is_estimated=True)),
    **{
        name: Sum(name)
        for name in ("cache_hit_tokens", "cache_miss_tokens", "output_tokens", "cost", "cost_uncached", "cost_dense")
    },
}
_LABELS: dict[By, Any] = {
    "day": TruncDate("began_at", tzinfo=UTC),
    "model": F("endpoint_name"),
    # Two people may have keys of one name.
    "key": Case(When(key__isnull=False, then=Concat("key__name", Value(" · "), "key__prefix"))),
    "person": F("user__name"),
    "group": F("user__teams__name"),
}


def _lines(spent: QuerySet[Spending], by: By) -> Iterator[Line]:
    """The dearest first. Who is in two groups counts in both."""
    grouped = spent.values(label=_LABELS[by]).annotate(**_COLUMNS)
    lines = [Line(_label(label, by), _sums(sums)) for row in grouped for label, sums in [_parted(**row)]]
    return iter(sorted(lines, key=lambda line: (-line.sums.cost, -line.sums.tokens, line.label)))


def _parted(label: date | str | None, **sums: Any) -> tuple[date | str | None, dict[str, Any]]:
    return label, sums


def _label(value: date | str | None, by: By) -> str:
    if value is None:
        return {"group": _("without a group"), "key": _("without an API key")}.get(by, _("no longer here"))
    return value.isoformat() if isinstance(value, date) else value


def _sums(row: dict[str, Any]) -> Sums:
    return Sums(**{name: value for name, value in row.items() if value is not None})
