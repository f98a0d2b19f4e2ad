"""Reads a file with the parser of its type, as the fenced child does."""

import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from uploads.document import Block, Event, Limits, Source
from uploads.parsers import parser_for

OFFICE = "application/vnd.openxmlformats-officedocument"
OPEN = "application/vnd.oasis.opendocument"
TYPES = {
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "html": "text/html",
    "json": "application/json",
    "py": "text/x-python",
    "pdf": "application/pdf",
    "docx": f"{OFFICE}.wordprocessingml.document",
    "pptx": f"{OFFICE}.presentationml.presentation",
    "xlsx": f"{OFFICE}.spreadsheetml.sheet",
    "doc": "application/msword",
    "ppt": "application/vnd.ms-powerpoint",
    "xls": "application/vnd.ms-excel",
    "odt": f"{OPEN}.text",
    "odp": f"{OPEN}.presentation",
    "ods": f"{OPEN}.spreadsheet",
    "rtf": "application/rtf",
    "epub": "application/epub+zip",
    "eml": "message/rfc822",
    "msg": "application/vnd.ms-outlook",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "tiff": "image/tiff",
    "bmp": "image/bmp",
    "heic": "image/heic",
}


def renamed_main_part(path: Path, to: Path, content_type: str) -> Path:
    """A copy whose main part goes by another type, as Word and PowerPoint write macros, templates and shows."""
    with ZipFile(path) as source, ZipFile(to, "w") as copy:
        for name in source.namelist():
            data = source.read(name)
            if name == "[Content_Types].xml":
                data, num = re.subn(
                    rb"application/vnd\.[^\"]*\.(document|presentation)\.main\+xml", content_type.encode(), data
                )
                assert num == 1
            copy.writestr(name, data)
    return to


def read(path: Path, media_type: str = "", **limits: Any) -> list[Event]:
    media_type = media_type or TYPES[path.suffix.lstrip(".")]
    return list(parser_for(media_type)(Source(path, media_type, path.name, Limits(**limits))))


def blocks_of(path: Path, media_type: str = "", **limits: Any) -> list[Block]:
    return [event for event in read(path, media_type, **limits) if isinstance(event, Block)]


def block_with(words: str, blocks: list[Block]) -> Block:
    """The one block that says this."""
    found = [block for block in blocks if words in block.text]
    assert len(found) == 1, f"{len(found)} of {len(blocks)} blocks say {words!r}"
    return found[0]
