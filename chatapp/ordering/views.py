"""Many conversations at once, and the page of the archive."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chatapp.conversations.selectors import sidebar, visible_conversations
from chatapp.http import read_fields, valid, viewer, wants_page
from chatapp.ordering import services
from chatapp.ordering.forms import DeedForm, PageForm
from chatapp.ordering.listing import archived

PAGE = 50


@require_POST
def order_chats(request: HttpRequest) -> HttpResponse:
    fields = valid(DeedForm(read_fields(request)))
    services.do(viewer(request), fields["deed"], fields["ids"])
    return redirect("archive") if wants_page(request) else JsonResponse({"ok": True})


@never_cache
@require_GET
def show_archive(request: HttpRequest) -> HttpResponse:
    person = viewer(request)
    page = Paginator(archived(visible_conversations(person), person), PAGE).get_page(
        valid(PageForm(request.GET))["page"] or 1
    )
    return render(request, "ordering/archive.html", {"sidebar": sidebar(person), "conversation": None, "page": page})
