"""What is left of the quotas that hold for a key, in the form of DeepSeek's `user/balance`."""

from typing import Any

from chatapp.programs.models import ApiKey
from chatapp.usage.quotas import Limit, limits_for


def balance_of(key: ApiKey) -> dict[str, Any]:
    """`balance_infos`: the least that is left in USD; empty without a limit in USD. `limits` tells them all."""
    limits = limits_for(key.owner_id, key.pk)
    left = [limit.most_money - limit.money for limit in limits if limit.most_money is not None]
    infos = []
    if left:
        money = f"{max(min(left), 0):.4f}"
        infos.append(
            {"currency": "USD", "total_balance": money, "granted_balance": money, "topped_up_balance": "0.0000"}
        )
    return {
        "is_available": not any(limit.is_used_up for limit in limits),
        "balance_infos": infos,
        "limits": [_limit(limit) for limit in limits],
    }


def _limit(limit: Limit) -> dict[str, Any]:
    of = "key" if limit.key_name else "group" if limit.group_name else "person"
    wire: dict[str, Any] = {"of": of, "span": limit.span, "resets_at": limit.resets_at.isoformat()}
    if limit.most_tokens is not None:
        return {**wire, "unit": "tokens", "limit": limit.most_tokens, "used": limit.tokens}
    return {**wire, "unit": "USD", "limit": str(limit.most_money), "used": f"{limit.money:f}"}
