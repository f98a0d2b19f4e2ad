"""What the rest of the house may want to know about people. Sent after the commit."""

from functools import partial
from uuid import UUID

from django.db import transaction
from django.dispatch import Signal

# `person_id`: their sessions, their role, their groups or their standing are not what they were.
rights_changed = Signal()


def announce_rights(person_id: UUID) -> None:
    """Open sockets ask again at once what they may still show, instead of at their next look."""
    transaction.on_commit(partial(rights_changed.send, sender=None, person_id=person_id))


# `person_id`: no key of theirs is to open anything any more. Sent inside the transaction that ends their sessions.
keys_ended = Signal()
