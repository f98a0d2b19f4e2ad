"""What the chat page may know of endpoints: never an address or a key."""

from dataclasses import dataclass
from uuid import UUID

from chatapp.endpoints.models import Endpoint


@dataclass(frozen=True, slots=True)
class EndpointChoice:
    id: UUID
    name: str
    note: str
    context_length: int
    thinking: str
    vision: bool
    is_default: bool


def list_choices() -> list[EndpointChoice]:
    """The endpoints that may be asked, the default one first."""
    columns = ("id", "name", "note", "context_length", "thinking", "vision", "is_default")
    rows = Endpoint.objects.filter(is_enabled=True).order_by("-is_default", "name")
    return [EndpointChoice(*row) for row in rows.values_list(*columns)]
