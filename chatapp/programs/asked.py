"""What requests are held against once they have a key, and their body."""

from django.http import HttpRequest

from chatapp.errors import ChatError
from chatapp.programs.errors import ApiError
from chatapp.programs.models import Ability, ApiKey
from chatapp.usage.quotas import check_quota


def need(key: ApiKey, ability: Ability) -> None:
    """Raises ApiError: 403."""
    if ability not in key.abilities:
        raise ApiError(403, "not_in_scope", f"This key may not be used for {ability.value}.")


def check_spending(key: ApiKey) -> None:
    """Raises ApiError: 402."""
    try:
        check_quota(key.owner, key.pk)
    except ChatError as refused:
        raise ApiError(402, "insufficient_quota", refused.message, may_repeat=False) from refused


def read_body(request: HttpRequest) -> bytes:
    """As large as chatapp.bodies has let it in: Django's own limit is for forms."""
    return request.read()
