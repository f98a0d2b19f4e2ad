"""A chat as a file, and the page of one's archives."""

from uuid import UUID

from django import forms
from django.core.files.storage import storages
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatapp.conversations.selectors import read_thread, sidebar
from chatapp.errors import NotFound
from chatapp.exports import archives
from chatapp.exports.documents import as_json, as_markdown, file_stem
from chatapp.exports.models import Archive
from chatapp.http import valid, viewer, wants_page

POLL_S = 2
TYPES = {"markdown": ("text/markdown; charset=utf-8", "md"), "json": ("application/json", "json")}


class FormatForm(forms.Form):
    format = forms.ChoiceField(choices=[(name, name) for name in TYPES])


@never_cache
@require_GET
def export_chat(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    thread = read_thread(viewer(request), conversation_id)
    format = valid(FormatForm(request.GET))["format"]
    is_json = format == "json"
    text = as_json(thread.conversation) if is_json else as_markdown(thread, _("Question"), _("Answer"))
    media_type, suffix = TYPES[format]
    name = f"{file_stem(thread.conversation)}.{suffix}"
    response = HttpResponse(text, content_type=media_type)
    response.headers["Content-Disposition"] = _attachment(name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@never_cache
@require_http_methods(["GET", "POST"])
def show_archives(request: HttpRequest) -> HttpResponse:
    """POST asks for one; the page asks again by itself until it is there."""
    person = viewer(request)
    if request.method == "POST":
        archive = archives.ask(person)
        return redirect("archives") if wants_page(request) else JsonResponse({"id": str(archive.pk)})
    found = list(archives.archives(person))
    is_open = any(each.state in archives.OPEN for each in found)
    context = {"archives": found, "is_open": is_open, "sidebar": sidebar(person), "conversation": None}
    response = render(request, "exports/archives.html", context)
    if is_open:
        response.headers["Refresh"] = str(POLL_S)
    return response


@never_cache
@require_GET
def download_archive(request: HttpRequest, archive_id: UUID) -> HttpResponseBase:
    archive = archives.get_archive(viewer(request), archive_id)
    if archive.state != Archive.State.READY:
        raise NotFound
    try:
        file = storages["exports"].open(archive.key, "rb")
    except FileNotFoundError as error:  # removed between its row and its bytes
        raise NotFound from error
    response = FileResponse(file, content_type="application/zip", as_attachment=True, filename=_archive_name(archive))
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@require_POST
def delete_archive(request: HttpRequest, archive_id: UUID) -> HttpResponse:
    archives.delete(viewer(request), archive_id)
    return redirect("archives") if wants_page(request) else JsonResponse({"ok": True})


def _archive_name(archive: Archive) -> str:
    return f"sonde-{archive.created_at:%Y-%m-%d}.zip"


def _attachment(name: str) -> str:
    return content_disposition_header(True, name) or "attachment"
