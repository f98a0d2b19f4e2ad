"""The routes of files: upload by tus, states, retry, cancel, remove, and the bytes."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import wraps
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from chatapp.errors import ChatError, Invalid
from chatapp.files import tus
from chatapp.files.access import get_own, get_upload
from chatapp.files.collecting import begin_in
from chatapp.files.content import content_response
from chatapp.files.forms import WhereForm
from chatapp.files.states import chip_state, read_states
from chatapp.files.words import refusal_words
from chatapp.http import error_response, valid, viewer, wants_page
from uploads import services
from uploads.errors import Refused
from uploads.models import Upload
from uploads.storage import PIECE
from uploads.sweep import KEPT_UNFINISHED

View = Callable[..., HttpResponseBase]

# More than a message holds, so that a page may ask for all its chips; a URL of 200 ids has 7,400 characters.
MAX_ASKED = 200
_STATUS = {
    "empty": 400,
    "name": 400,
    "too_large": 413,
    "too_many": 429,
    "quota": 413,
    "no_space": 507,
    "unsupported": 415,
    "checksum": 460,  # tus says so
    "busy": 423,
    "ended": 410,
}


def _answering_refusals(view: View) -> View:
    """A refusal of uploads as JSON, in the one shape of errors."""

    @wraps(view)
    def answer(request: HttpRequest, **named: UUID) -> HttpResponseBase:
        try:
            return view(request, **named)
        except Refused as refused:
            error = {"code": refused.code, "message": refusal_words(refused.code, refused.params)}
            return JsonResponse({"error": error}, status=_STATUS.get(refused.code, 409))

    return answer


def _tus(view: View) -> View:
    """The version on every answer; another version than ours is told so."""

    @wraps(view)
    def answer(request: HttpRequest, **named: UUID) -> HttpResponseBase:
        try:
            if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != tus.VERSION:
                return tus.with_headers(HttpResponse(status=412, headers={"Tus-Version": tus.VERSION}))
            return tus.with_headers(view(request, **named))
        except ChatError as error:
            return tus.with_headers(error_response(request, error))

    return answer


@_tus
@_answering_refusals
def uploads(request: HttpRequest) -> HttpResponseBase:
    """tus: what we can do, and the announcement of a file, its first bytes with it where the browser likes."""
    match tus.method_of(request):
        case "OPTIONS":
            return HttpResponse(status=204, headers=tus.abilities(settings.UPLOADS.max_bytes))
        case "POST":
            return _announce(request)
        case _:
            return HttpResponse(status=405, headers={"Allow": "OPTIONS, POST"})


@_tus
@_answering_refusals
def upload(request: HttpRequest, upload_id: UUID) -> HttpResponseBase:
    """tus: where to go on, the next bytes, the end of it."""
    method = tus.method_of(request)
    if method not in ("HEAD", "PATCH", "DELETE"):
        return HttpResponse(status=405, headers={"Allow": "HEAD, PATCH, DELETE"})
    own = get_own(viewer(request), upload_id)
    if method == "DELETE":
        services.remove(own)
        return HttpResponse(status=204)
    if own.cancelled_at is not None or own.state == Upload.State.REFUSED:
        raise Refused("ended")
    if method == "HEAD":
        return _progress(own, services.settle(own), 200)
    return _progress(own, _append(request, own, tus.read_offset(request)), 204)


@never_cache
@require_GET
def show_states(request: HttpRequest) -> HttpResponse:
    return JsonResponse(read_states(viewer(request), _asked(request)), safe=False)


@require_POST
@_answering_refusals
def retry_upload(request: HttpRequest, upload_id: UUID) -> HttpResponseBase:
    own = get_own(viewer(request), upload_id)
    services.retry(own)
    if wants_page(request):
        collection_id = valid(WhereForm(request.POST))["collection"]
        return redirect("collection", collection_id) if collection_id else redirect("files")
    return JsonResponse(chip_state(get_own(viewer(request), own.pk)))


@require_POST
def cancel_upload(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    services.cancel(get_own(viewer(request), upload_id))
    return JsonResponse(chip_state(get_own(viewer(request), upload_id)))


@require_POST
def remove_upload(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    services.remove(get_own(viewer(request), upload_id))
    return redirect("files") if wants_page(request) else JsonResponse({"ok": True})


@require_safe
def show_content(request: HttpRequest, upload_id: UUID) -> HttpResponseBase:
    return content_response(request, get_upload(viewer(request), upload_id))


def _announce(request: HttpRequest) -> HttpResponse:
    announced = tus.read_announced(request)
    person = viewer(request)
    if announced.collection_id is None:
        begun = services.begin(person.pk, announced.name, announced.size_bytes)
    else:
        begun = begin_in(person, announced.collection_id, announced.name, announced.size_bytes)
    offset = _append(request, begun, 0) if request.content_type == tus.CHUNK_TYPE else 0
    response = _progress(begun, offset, 201)
    response.headers["Location"] = reverse("upload", args=[begun.pk])
    return response


def _append(request: HttpRequest, own: Upload, offset: int) -> int:
    if request.content_type != tus.CHUNK_TYPE:
        raise Invalid("Content-Type", _("%(header)s is missing or cannot be read.") % {"header": "Content-Type"})
    return services.append(own, offset, _pieces(request), tus.read_checksum(request))


def _pieces(request: HttpRequest) -> Iterator[bytes]:
    while piece := request.read(PIECE):
        yield piece


def _progress(own: Upload, offset: int, status: int) -> HttpResponse:
    """Upload-Expires as long as there is something to go on with."""
    is_open = offset < own.size_bytes
    expires_at = own.active_at + timedelta(seconds=KEPT_UNFINISHED) if is_open else None
    return tus.with_headers(HttpResponse(status=status), expires_at, offset=offset, length=own.size_bytes)


def _asked(request: HttpRequest) -> list[UUID]:
    words = [word for word in request.GET.get("ids", "").split(",") if word]
    try:
        ids = [UUID(word) for word in words]
    except ValueError as error:
        raise Invalid("ids", _("%(name)s must be %(kind)s.") % {"name": "ids", "kind": "UUIDs"}) from error
    if len(ids) > MAX_ASKED:
        raise Invalid("ids", _("At most %(limit)s at once.") % {"limit": MAX_ASKED})
    return ids
