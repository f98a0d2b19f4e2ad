"""`/v1/files`: files that a program gives, to refer to them in its messages. They are its owner's, and count so."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase

from chatapp.files.content import content_response
from chatapp.files.words import refusal_words
from chatapp.programs.errors import ApiError, not_understood, out_of_range
from chatapp.programs.gate import program
from chatapp.programs.given import given_by, no_file
from chatapp.programs.models import Ability, ApiKey, ProgramFile
from chatapp.programs.request import file_id, read_file_id
from chatapp.threads import in_thread
from search.retrieval import indexed_among
from uploads import services
from uploads.errors import Refused
from uploads.models import OPEN, ReadingState, Upload

MOST_LISTED = 1000
PURPOSES = ("user_data", "assistants", "batch", "fine-tune", "vision", "evals")  # OpenAI's; all are read alike here
_STATUS = {"too_large": 413, "quota": 413, "too_many": 429, "no_space": 507}


@program("GET", "POST", ability=Ability.FILES)
async def files(request: HttpRequest, key: ApiKey) -> HttpResponseBase:
    if request.method == "POST":
        return JsonResponse(await in_thread(_take, request, key))
    return JsonResponse(await in_thread(_list, request, key))


@program("GET", "DELETE", ability=Ability.FILES)
async def file(request: HttpRequest, key: ApiKey, name: str) -> HttpResponseBase:
    if request.method == "DELETE":
        return JsonResponse(await in_thread(_remove, key, name))
    return JsonResponse(await in_thread(_show, key, name))


@program("GET", ability=Ability.FILES)
async def file_content(request: HttpRequest, key: ApiKey, name: str) -> HttpResponseBase:
    return await in_thread(_content, request, key, name)


def _take(request: HttpRequest, key: ApiKey) -> dict[str, Any]:
    """The bytes are safe, and their reading is asked for, when this returns."""
    try:
        given, purpose = request.FILES.get("file"), request.POST.get("purpose", "user_data")
    except MultiPartParserError as error:
        raise not_understood("file", "The body is not multipart/form-data.") from error
    if not isinstance(given, UploadedFile):
        raise not_understood("file", "file is missing; send it as multipart/form-data.")
    if purpose not in PURPOSES:
        raise out_of_range("purpose", f"purpose={purpose[:60]!r} must be one of {', '.join(PURPOSES)}.")
    try:
        upload = services.begin(key.owner_id, given.name or "", given.size or 0)
        services.append(upload, 0, given.chunks())
    except Refused as refused:
        words = refusal_words(refused.code, refused.params)
        raise ApiError(_STATUS.get(refused.code, 400), f"file_{refused.code}", words, param="file") from refused
    if upload.state == Upload.State.REFUSED:
        services.remove(upload)
        raise ApiError(400, "file_unsupported", "Files of this type are not read here.", param="file")
    ProgramFile.objects.create(upload=upload, purpose=purpose)
    return _object(_own(key, file_id(upload.pk)))


def _list(request: HttpRequest, key: ApiKey) -> dict[str, Any]:
    """The newest first; `after` is the last id of the page before."""
    limit = request.GET.get("limit", str(MOST_LISTED))
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= MOST_LISTED:
        raise out_of_range("limit", f"limit={limit[:20]!r} must be from 1 to {MOST_LISTED}.")
    found = given_by(key.owner)
    if purpose := request.GET.get("purpose"):
        found = found.filter(program_file__purpose=purpose)
    is_ascending = request.GET.get("order") == "asc"
    if after := request.GET.get("after"):
        last = _own(key, after)
        side = "gt" if is_ascending else "lt"
        found = found.filter(**{f"created_at__{side}": last.created_at})
    rows = list(found.order_by("created_at" if is_ascending else "-created_at")[: int(limit) + 1])
    shown = rows[: int(limit)]
    ends = {"first_id": file_id(shown[0].pk), "last_id": file_id(shown[-1].pk)} if shown else {}
    return {"object": "list", "data": _objects(shown), "has_more": len(rows) > len(shown), **ends}


def _show(key: ApiKey, name: str) -> dict[str, Any]:
    return _object(_own(key, name))


def _remove(key: ApiKey, name: str) -> dict[str, Any]:
    services.remove(_own(key, name))
    return {"id": name, "object": "file", "deleted": True}


def _content(request: HttpRequest, key: ApiKey, name: str) -> HttpResponseBase:
    return content_response(request, _own(key, name))


def _own(key: ApiKey, name: str) -> Upload:
    """Raises ApiError."""
    id: UUID | None = read_file_id(name)
    upload = given_by(key.owner).filter(pk=id).first() if id else None
    if upload is None:
        raise no_file(name)
    return upload


def _object(upload: Upload) -> dict[str, Any]:
    return _objects([upload])[0]


def _objects(uploads: Iterable[Upload]) -> list[dict[str, Any]]:
    """As OpenAI has them. `processed` is what can be asked about at once; before that a call waits for it."""
    rows = list(uploads)
    indexed = indexed_among(upload.reading_id for upload in rows if upload.reading_id)
    return [
        {
            "id": file_id(upload.pk),
            "object": "file",
            "bytes": upload.size_bytes,
            "created_at": int(upload.created_at.timestamp()),
            "filename": upload.name,
            "purpose": upload.program_file.purpose,
            **_status(upload, upload.reading_id in indexed),
        }
        for upload in rows
    ]


def _status(upload: Upload, is_indexed: bool) -> dict[str, str | None]:
    reading = upload.reading
    if reading is None or reading.state in OPEN:
        return {"status": "uploaded", "status_details": None}
    if reading.state in (ReadingState.READY, ReadingState.PARTLY):
        return {"status": "processed" if is_indexed else "uploaded", "status_details": reading.code or None}
    return {"status": "error", "status_details": reading.code or reading.state}
