"""What a person may do with a search of theirs: let its queries go, changed or not, or have it skipped."""

from collections.abc import Sequence
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import User
from chatapp.errors import ChatError, Invalid, NotFound
from chatapp.searches import life
from chatapp.searches.models import Search
from chatapp.searches.selectors import get_search

MAX_QUERIES = 3
MAX_CHARACTERS = 400


def confirm(viewer: User, search_id: UUID, queries: Sequence[str]) -> Search:
    """Lets these queries go in place of the proposed ones. Raises NotFound, Invalid, ChatError."""
    search = _own(viewer, search_id)
    if not life.let_go(search.pk, check_queries(queries)):
        raise ChatError("not_waiting", _("This search is not waiting for you any more."))
    return search


def skip(viewer: User, search_id: UUID) -> Search:
    """The answer goes on without it, at once. One that has ended stays as it is. Raises NotFound."""
    search = _own(viewer, search_id)
    life.cancel([search.pk])
    return search


def check_queries(queries: Sequence[str]) -> list[str]:
    """Each on one line, each once. Raises Invalid."""
    kept = list(dict.fromkeys(text for query in queries if (text := " ".join(query.split()))))
    if not 1 <= len(kept) <= MAX_QUERIES:
        raise Invalid("queries", _("Please give one to %(limit)s queries.") % {"limit": MAX_QUERIES})
    if any(len(query) > MAX_CHARACTERS or "\0" in query for query in kept):
        words = _("A query has at most %(limit)s characters.") % {"limit": MAX_CHARACTERS}
        raise Invalid("queries", words, code="too_long")
    return kept


def _own(viewer: User, search_id: UUID) -> Search:
    """What leaves the house is for the one who has asked to say: nobody else's search is there."""
    search = get_search(viewer, search_id)
    if search.answer.asked_by_id != viewer.pk:
        raise NotFound
    return search
