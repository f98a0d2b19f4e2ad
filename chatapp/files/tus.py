"""The words of tus 1.0 (tus.io, resumable uploads): headers in, headers out. Knows no database and no file."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import http_date
from django.utils.translation import gettext as _

from chatapp.errors import Invalid
from uploads.partial import Checksum

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,checksum,expiration"
ALGORITHMS = ("sha1", "sha256", "md5")
CHUNK_TYPE = "application/offset+octet-stream"

Response = TypeVar("Response", bound=HttpResponseBase)


@dataclass(frozen=True, slots=True)
class Announced:
    """A file to come: what POST says of it."""

    name: str
    size_bytes: int
    collection_id: UUID | None  # that it is for; else it is for a question


def method_of(request: HttpRequest) -> str:
    """For networks that let nothing but GET and POST through."""
    return request.headers.get("X-HTTP-Method-Override", request.method or "").upper()


def read_announced(request: HttpRequest) -> Announced:
    """Raises Invalid, naming the header."""
    metadata = _metadata(request.headers.get("Upload-Metadata", ""))
    return Announced(metadata.get("filename", ""), _number(request, "Upload-Length"), _collection_id(metadata))


def read_offset(request: HttpRequest) -> int:
    return _number(request, "Upload-Offset")


def read_checksum(request: HttpRequest) -> Checksum | None:
    """Raises Invalid for an algorithm that is not ours, or a digest that is none."""
    header = request.headers.get("Upload-Checksum")
    if header is None:
        return None
    algorithm, _space, encoded = header.partition(" ")
    if algorithm not in ALGORITHMS:
        raise _invalid("Upload-Checksum")
    return Checksum(algorithm, _decoded("Upload-Checksum", encoded))


def with_headers(response: Response, expires_at: datetime | None = None, **figures: int) -> Response:
    """`offset`, `length` as Upload-Offset, Upload-Length; when an unfinished upload is thrown away, if it is one."""
    response.headers["Tus-Resumable"] = VERSION
    response.headers["Cache-Control"] = "no-store"
    for name, value in figures.items():
        response.headers[f"Upload-{name.title()}"] = str(value)
    if expires_at is not None:
        response.headers["Upload-Expires"] = http_date(expires_at.timestamp())
    return response


def abilities(max_bytes: int) -> Mapping[str, str]:
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(max_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def _metadata(header: str) -> dict[str, str]:
    """`key base64, key base64, ...`; a key may stand alone."""
    pairs = [pair.split(maxsplit=1) for pair in header.split(",") if pair.strip()]
    return {words[0]: _text(words[1] if len(words) > 1 else "") for words in pairs}


def _collection_id(metadata: Mapping[str, str]) -> UUID | None:
    if "collection" not in metadata:
        return None
    try:
        return UUID(metadata["collection"])
    except ValueError as error:
        raise _invalid("Upload-Metadata") from error


def _text(encoded: str) -> str:
    try:
        return _decoded("Upload-Metadata", encoded).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid("Upload-Metadata") from error


def _decoded(header: str, encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid(header) from error


def _number(request: HttpRequest, header: str) -> int:
    raw = request.headers.get(header, "")
    if not raw.isascii() or not raw.isdigit() or len(raw) > 15:
        raise _invalid(header)
    return int(raw)


def _invalid(header: str) -> Invalid:
    return Invalid(header, _("%(header)s is missing or cannot be read.") % {"header": header})
