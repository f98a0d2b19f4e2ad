"""What the chat page may know of endpoints: never an address or a key."""

from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as in_persons_language

from chatapp.endpoints.models import Endpoint


@dataclass(frozen=True, slots=True)
class EndpointChoice:
    id: UUID
    name: str
    note: str
    context_length: int
    thinking: str
    vision: bool
    tools: bool
    is_default: bool


def list_choices() -> list[EndpointChoice]:
    """The endpoints that may be asked, the default one first."""
    return [
        EndpointChoice(
            id=row.id,
            name=row.name,
            note=_words(row),
            context_length=row.context_length,
            thinking=row.thinking,
            vision=row.vision,
            tools=row.tools,
            is_default=row.is_default,
        )
        for row in Endpoint.objects.filter(is_enabled=True).order_by("-is_default", "name")
    ]


def _words(endpoint: Endpoint) -> str:
    """Our own note about our own model is translated; what an owner has typed stays as it is."""
    return in_persons_language(endpoint.note) if endpoint.is_local and endpoint.note else endpoint.note
