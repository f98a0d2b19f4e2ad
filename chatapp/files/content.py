"""The bytes of a file as a response: whole or one range, shown only where showing is safe.

What comes from people is never run in our origin: no script may be in it (a sandbox, and only pictures and PDFs are
shown), no browser may take it for another type.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

from django.core.files import File
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from chatapp.errors import NotFound
from uploads.models import Upload
from uploads.selectors import open_bytes
from uploads.storage import PIECE

SHOWN = frozenset({"application/pdf", "image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"})
POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


class Unsatisfiable(Exception):
    """The range begins behind the end."""


def content_response(request: HttpRequest, upload: Upload) -> HttpResponseBase:
    """Raises NotFound for an upload that is not whole."""
    blob = upload.blob
    if blob is None:
        raise NotFound
    etag = f'"{blob.sha256}"'
    headers = _headers(upload, blob.media_type, etag)
    if etag in request.headers.get("If-None-Match", ""):
        return HttpResponse(status=304, headers=headers)
    try:
        span = _asked_span(request, etag, blob.size_bytes)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={**headers, "Content-Range": f"bytes */{blob.size_bytes}"})
    if span is not None:
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{blob.size_bytes}"
    status = 200 if span is None else 206
    span = span or Span(0, blob.size_bytes - 1)
    headers["Content-Length"] = str(span.length)
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers)
    try:
        file = open_bytes(upload)
    except FileNotFoundError as error:  # removed between its row and its bytes
        raise NotFound from error
    return StreamingHttpResponse(_pieces(file, span), status=status, headers=headers)


def parse_range(header: str, size_bytes: int) -> Span | None:
    """One range of bytes; None for what may be ignored (several, other units, nonsense). Raises Unsatisfiable."""
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:  # the last so many
        if int(last) == 0:
            raise Unsatisfiable
        return Span(max(0, size_bytes - int(last)), size_bytes - 1)
    if last and int(last) < int(first):
        return None
    if int(first) >= size_bytes:
        raise Unsatisfiable
    return Span(int(first), min(int(last), size_bytes - 1) if last else size_bytes - 1)


def _asked_span(request: HttpRequest, etag: str, size_bytes: int) -> Span | None:
    if request.headers.get("If-Range", etag) != etag:
        return None
    return parse_range(request.headers.get("Range", ""), size_bytes)


def _headers(upload: Upload, media_type: str, etag: str) -> dict[str, str]:
    is_shown = media_type in SHOWN
    name = quote(upload.name, safe="")
    return {
        "Content-Type": media_type if is_shown else "application/octet-stream",
        "Content-Disposition": f"{'inline' if is_shown else 'attachment'}; filename*=UTF-8''{name}",
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "private, no-cache",  # the right is asked again every time, the bytes sent once
        "Accept-Ranges": "bytes",
        "ETag": etag,
    }


async def _pieces(file: "File[bytes]", span: Span) -> AsyncIterator[bytes]:
    """Asynchronous, because Django would read all that a plain iterator gives before it sends a byte of it."""
    try:
        await asyncio.to_thread(file.seek, span.first)
        left = span.length
        while left and (piece := await asyncio.to_thread(file.read, min(PIECE, left))):
            left -= len(piece)
            yield piece
    finally:
        file.close()
