"""Reads of searches: what people watch while the web is searched, and what they see of it afterwards."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.conversations.access import allowed
from chatapp.errors import NotFound
from chatapp.searches.found import host_of
from chatapp.searches.models import Search, SiteIcon, WebPage
from chatapp.searches.shown import SearchShown, show


def get_search(viewer: User, search_id: UUID) -> Search:
    """With its answer and message. Raises NotFound: the right to read the conversation is the right to see it."""
    searches = Search.objects.select_related("answer__message").defer("answer__token_ids", "found")
    search = searches.filter(pk=search_id, answer__message__conversation__in=allowed(viewer)).first()
    if search is None:
        raise NotFound
    return search


def read_search(viewer: User, search_id: UUID) -> SearchShown:
    """Raises NotFound."""
    return _shown([get_search(viewer, search_id)])[0]


def searches_of(answers: Sequence[Answer]) -> dict[UUID, list[SearchShown]]:
    """By answer id, in the order in which they were begun; answers without any are left out."""
    searches = Search.objects.filter(answer__in=answers).select_related("answer").defer("answer__token_ids", "found")
    shown: dict[UUID, list[SearchShown]] = defaultdict(list)
    for each in _shown(list(searches.order_by("ordinal"))):
        shown[each.answer].append(each)
    return dict(shown)


def icon_of(host: str) -> bytes:
    """The small picture of a site. Raises NotFound where it has none, or nobody has looked."""
    icon = SiteIcon.objects.filter(host=host).exclude(png=b"").first()
    if icon is None:
        raise NotFound
    return bytes(icon.png)


def icon_urls(hosts: set[str]) -> dict[str, str]:
    """By host; those without a picture are left out, so that nobody asks for what is not there."""
    known = SiteIcon.objects.filter(host__in=hosts).exclude(png=b"").values_list("host", flat=True)
    return {host: f"/sources/icons/{host}" for host in known}


def _shown(searches: Sequence[Search]) -> list[SearchShown]:
    pages: dict[tuple[UUID, int], UUID] = {
        (search, ordinal): page
        for page, search, ordinal in WebPage.objects.filter(search__in=searches).values_list("pk", "search", "ordinal")
    }
    watched = [page for search in searches for page in search.progress.get("pages", [])]
    icons = icon_urls({host_of(page["url"]) for page in watched})
    return [show(search, pages, icons) for search in searches]
