"""The models that a key may ask, by the names that programs call them by.

A name is the endpoint's model; where two endpoints have the same one, those behind the first are `model@endpoint`.
"""

from collections.abc import Iterable

from chatapp.endpoints.models import Endpoint
from chatapp.programs.errors import no_model
from chatapp.programs.models import ApiKey


def offered(key: ApiKey) -> dict[str, Endpoint]:
    """The default endpoint first. Names are the same for every key."""
    allowed = None if key.any_model else set(key.endpoints.values_list("pk", flat=True))
    enabled = Endpoint.objects.filter(is_enabled=True).order_by("-is_default", "name")
    return {name: each for name, each in _named(enabled) if allowed is None or each.pk in allowed}


def endpoint_for(key: ApiKey, name: str) -> Endpoint:
    """By its name as a model, or by that of the endpoint. Raises ApiError."""
    found = offered(key)
    if name in found:
        return found[name]
    named = [endpoint for endpoint in found.values() if name in (endpoint.name, endpoint.model)]
    if not named:
        raise no_model(name)
    return named[0]


def _named(endpoints: Iterable[Endpoint]) -> Iterable[tuple[str, Endpoint]]:
    seen: set[str] = set()
    for endpoint in endpoints:
        name = endpoint.model if endpoint.model not in seen else f"{endpoint.model}@{endpoint.name}"
        seen.add(endpoint.model)
        yield name, endpoint
