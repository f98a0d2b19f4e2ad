"""A search as people watch it, its two buttons, and the pictures of sites."""

import json
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_GET, require_POST

from chatapp.errors import Invalid
from chatapp.http import viewer, wants_page
from chatapp.searches import services
from chatapp.searches.models import Search
from chatapp.searches.selectors import icon_of, read_search


@never_cache
@require_GET
def show_search(request: HttpRequest, search_id: UUID) -> HttpResponse:
    return render(request, "searches/_search.html", {"search": read_search(viewer(request), search_id)})


@require_POST
def confirm_search(request: HttpRequest, search_id: UUID) -> HttpResponse:
    return _done(request, services.confirm(viewer(request), search_id, _queries(request)))


@require_POST
def skip_search(request: HttpRequest, search_id: UUID) -> HttpResponse:
    return _done(request, services.skip(viewer(request), search_id))


@cache_control(private=True, max_age=86_400)
@require_GET
def show_icon(request: HttpRequest, host: str) -> HttpResponse:
    return HttpResponse(icon_of(host), content_type="image/png")


def _queries(request: HttpRequest) -> list[str]:
    """`queries` of a form, several times, or a list of JSON. Raises Invalid."""
    if request.content_type != "application/json":
        return request.POST.getlist("queries")
    try:
        fields = json.loads(request.body)
    except (ValueError, RecursionError):
        fields = None
    queries = fields.get("queries") if isinstance(fields, dict) else None
    if not isinstance(queries, list) or not all(isinstance(query, str) for query in queries):
        raise Invalid("queries", _("%(name)s must be %(kind)s.") % {"name": "queries", "kind": "a list of texts"})
    return queries


def _done(request: HttpRequest, search: Search) -> HttpResponse:
    conversation = search.answer.message.conversation_id
    return redirect("conversation", conversation) if wants_page(request) else JsonResponse({"ok": True})
