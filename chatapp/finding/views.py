"""The search over one's chats: a partial for the dialog, and a page that works before JavaScript."""

import logging
import time

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from psycopg.errors import QueryCanceled

from chatapp.errors import ChatError
from chatapp.finding import selectors
from chatapp.finding.forms import QueryForm
from chatapp.finding.pace import may_search
from chatapp.finding.selectors import Findings
from chatapp.http import valid, viewer, wants_page

logger = logging.getLogger(__name__)


class TooOften(ChatError):
    status = 429

    def __init__(self) -> None:
        super().__init__("too_many", _("That was a lot of searches. Please wait a moment."))


class TooLong(ChatError):
    status = 503

    def __init__(self) -> None:
        super().__init__("too_slow", _("This search takes too long. Add a rarer word."))


@never_cache
@require_GET
def show_found(request: HttpRequest) -> HttpResponse:
    """Nothing asked: the chats last used."""
    person, query = viewer(request), valid(QueryForm(request.GET))["q"]
    if not may_search(person.pk):
        raise TooOften
    context = {"findings": _find(request, query)} if query.strip() else {"recent": selectors.recent(person)}
    template = "finding/page.html" if wants_page(request) else "finding/_options.html"
    return render(request, template, {"query": query, **context})


def _find(request: HttpRequest, query: str) -> Findings:
    began = time.monotonic()
    try:
        findings = selectors.find(viewer(request), query)
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooLong from error
        raise
    logger.info("search characters=%d found=%d %.3fs", len(query), len(findings.found), time.monotonic() - began)
    return findings
