"""The page of imports: a file is given, and what became of it is told."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from chatapp.accounts.models import User
from chatapp.conversations.selectors import sidebar
from chatapp.errors import ChatError
from chatapp.files.words import refusal_words
from chatapp.http import read_fields, valid, viewer, wants_page
from chatapp.imports import running
from chatapp.imports.models import Import
from chatapp.imports.words import FAULTS
from uploads import services
from uploads.errors import Refused

POLL_S = 2
SHOWN = 20  # imports, the newest


class UploadForm(forms.Form):
    upload = forms.UUIDField()


@never_cache
@require_http_methods(["GET", "POST"])
def show_imports(request: HttpRequest) -> HttpResponse:
    """POST takes a file itself (`file`, as large as a request may be), or one that was uploaded (`upload`)."""
    person = viewer(request)
    if request.method == "POST":
        return _begin(request, person)
    rows = [_row(each) for each in running.imports(person)[:SHOWN]]
    context = {"rows": rows, "sidebar": sidebar(person), "conversation": None}
    response = render(request, "imports/imports.html", context)
    if any(row["import"].state in ("queued", "running") for row in rows):
        response.headers["Refresh"] = str(POLL_S)
    return response


def _begin(request: HttpRequest, person: User) -> HttpResponse:
    try:
        file = request.FILES.get("file")
        if file is not None:
            begun = services.begin(person.pk, file.name or "", file.size or 0)
            services.append(begun, 0, file.chunks())
            made = running.ask(person, begun.pk)
        else:
            made = running.ask(person, valid(UploadForm(read_fields(request)))["upload"])
    except Refused as refused:
        messages.error(request, refusal_words(refused.code, refused.params))
        return redirect("imports")
    except ChatError as refused:
        if not wants_page(request):
            raise
        messages.error(request, refused.message)
        return redirect("imports")
    return redirect("imports") if wants_page(request) else JsonResponse({"id": str(made.pk)})


def _row(each: Import) -> dict[str, Any]:
    errors = [{**error, "words": FAULTS[error["code"]]} for error in each.errors]
    fault = FAULTS[each.error_code] if each.error_code else ""
    return {"import": each, "imported": each.chats.count(), "errors": errors, "fault": fault}
