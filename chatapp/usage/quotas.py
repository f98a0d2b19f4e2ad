"""What one may still spend. A request is refused once a quota that holds for its asker is used up."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from chatapp.accounts.models import Group, User
from chatapp.errors import ChatError
from chatapp.usage.models import Quota, Spending
from chatapp.usage.prices import Prices, Tokens

Span = Literal["day", "month"]
NEAR = 0.8  # of a quota, from which on people are told


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a quota, and how much of it is used. Exactly one of tokens and money."""

    span: Span
    resets_at: datetime
    group_name: str  # empty where it is the person's alone
    most_tokens: int | None = None
    most_money: Decimal | None = None
    tokens: int = 0
    money: Decimal = Decimal(0)
    key_name: str = ""  # where it is that of a program's key

    @property
    def share(self) -> float:
        if self.most_tokens is not None:
            return self.tokens / self.most_tokens if self.most_tokens else 1.0
        assert self.most_money is not None
        return float(self.money / self.most_money) if self.most_money else 1.0

    @property
    def is_used_up(self) -> bool:
        return self.share >= 1

    @property
    def percent(self) -> int:
        return int(min(self.share, 1.0) * 100)

    def output_left(self, prompt_tokens: int, prices: Prices) -> int | None:
        """Tokens of output behind such a prompt, read anew; None where there is no end to them."""
        if self.most_tokens is not None:
            return max(0, self.most_tokens - self.tokens - prompt_tokens)
        assert self.most_money is not None
        left = prices.output_for(self.most_money - self.money - prices.cost(Tokens(miss=prompt_tokens)))
        return None if left is None else max(0, left)


def limits_for(user_id: UUID | None, key_id: UUID | None = None) -> list[Limit]:
    """The fullest first; with `key_id` those of the key as well. Nobody's answer has none."""
    return sorted(_limits(user_id, key_id), key=lambda limit: -limit.share)


def limits_of_key(key_id: UUID) -> list[Limit]:
    """Those of the key alone."""
    return list(_limits(None, key_id))


def near_quota(user_id: UUID | None) -> int | None:
    """The percent that is used of the fullest limit, where that is worth telling."""
    limits = limits_for(user_id)
    return limits[0].percent if limits and limits[0].share >= NEAR else None


def check_quota(user: User, key_id: UUID | None = None) -> None:
    """Raises ChatError for somebody who may spend no more, or whose key may not."""
    for limit in limits_for(user.pk, key_id):
        if limit.is_used_up:
            raise ChatError("quota", _refusal(limit))


def output_allowed(user_id: UUID | None, prompt_tokens: int, prices: Prices, key_id: UUID | None = None) -> int | None:
    """The most tokens of output that the quotas of this person and key leave; None where they set no end."""
    left = (limit.output_left(prompt_tokens, prices) for limit in _limits(user_id, key_id))
    return min((tokens for tokens in left if tokens is not None), default=None)


def _refusal(limit: Limit) -> str:
    words = {"span": _("day") if limit.span == "day" else _("month"), "group": limit.group_name, "key": limit.key_name}
    words["when"] = date_format(limit.resets_at, "DATETIME_FORMAT")
    if limit.key_name:
        return (
            _("What the API key “%(key)s” may spend in a %(span)s is used up. It starts again on %(when)s (UTC).")
            % words
        )
    if limit.group_name:
        return (
            _("What the group “%(group)s” may spend in a %(span)s is used up. It starts again on %(when)s (UTC).")
            % words
        )
    return _("What you may spend in a %(span)s is used up. It starts again on %(when)s (UTC).") % words


def _limits(user_id: UUID | None, key_id: UUID | None) -> Iterator[Limit]:
    now = timezone.now()
    for quota in _quotas(user_id, key_id):
        if quota.key_id is not None:
            spent = Spending.objects.filter(key=quota.key_id)
        elif quota.group_id is None:
            spent = Spending.objects.filter(user=user_id)
        else:
            spent = Spending.objects.filter(user__in=User.objects.filter(teams=quota.group_id))
        yield from _limits_of(quota, spent, now)


def _quotas(user_id: UUID | None, key_id: UUID | None) -> list[Quota]:
    holding = Q(pk__in=[])
    if user_id is not None:
        holding |= Q(user=user_id) | Q(group__in=Group.objects.filter(members=user_id)) | Q(everyone=True)
    if key_id is not None:
        holding |= Q(key=key_id)
    found = list(Quota.objects.filter(holding).select_related("group", "key"))
    has_own = any(quota.user_id is not None for quota in found)
    return [quota for quota in found if not (quota.everyone and has_own)]


def _limits_of(quota: Quota, spent: QuerySet[Spending], now: datetime) -> Iterator[Limit]:
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    next_month = (month + timedelta(days=32)).replace(day=1)
    group, key = quota.group.name if quota.group else "", quota.key.name if quota.key else ""
    spans: tuple[tuple[Span, datetime, datetime, int | None, Decimal | None], ...] = (
        ("day", day, day + timedelta(days=1), quota.tokens_a_day, quota.money_a_day),
        ("month", month, next_month, quota.tokens_a_month, quota.money_a_month),
    )
    for span, since, until, most_tokens, most_money in spans:
        if most_tokens is None and most_money is None:
            continue
        sums = spent.filter(began_at__gte=since).aggregate(
            tokens=Sum(F("cache_hit_tokens") + F("cache_miss_tokens") + F("output_tokens")), money=Sum("cost")
        )
        tokens, money = sums["tokens"] or 0, sums["money"] or Decimal(0)
        if most_tokens is not None:
            yield Limit(span, until, group, most_tokens=most_tokens, tokens=tokens, key_name=key)
        if most_money is not None:
            yield Limit(span, until, group, most_money=most_money, money=money, key_name=key)
