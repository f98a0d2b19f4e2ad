"""Which parser reads which type. A parser's module is imported when it is asked for: a child loads what it needs.

Knows no Django, no process and no network. Every parser goes through `promise.kept`.
"""

from importlib import import_module

from uploads.document import Parser, Unparsable
from uploads.parsers.promise import kept

_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN = "application/vnd.oasis.opendocument"

# Media type -> module of this package, whose `parse` is the parser.
MODULES: dict[str, str] = {
    "text/plain": "text",
    "text/markdown": "markdown",
    "text/csv": "delimited",
    "text/tab-separated-values": "delimited",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/json": "code",
    "application/xml": "code",
    "application/javascript": "code",
    "application/x-sh": "code",
    "application/yaml": "code",
    "application/toml": "code",
    "application/sql": "code",
    "application/pdf": "pdf",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    f"{_OFFICE}.presentationml.presentation": "pptx",
    f"{_OFFICE}.spreadsheetml.sheet": "spreadsheet",
    "application/vnd.ms-word.document.macroenabled.12": "docx",
    "application/vnd.ms-powerpoint.presentation.macroenabled.12": "pptx",
    "application/vnd.ms-excel.sheet.macroenabled.12": "spreadsheet",
    "application/msword": "doc",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.ms-excel": "spreadsheet",
    f"{_OPEN}.text": "odt",
    f"{_OPEN}.presentation": "odp",
    f"{_OPEN}.spreadsheet": "spreadsheet",
    "application/rtf": "rtf",
    "text/rtf": "rtf",
    "application/epub+zip": "epub",
    "message/rfc822": "mail",
    "application/vnd.ms-outlook": "mail",
    "image/png": "picture",
    "image/jpeg": "picture",
    "image/webp": "picture",
    "image/gif": "picture",
    "image/tiff": "picture",
    "image/bmp": "picture",
    "image/x-ms-bmp": "picture",
    "image/heic": "picture",
    "image/heif": "picture",
}


def parser_for(media_type: str) -> Parser:
    """Raises Unparsable("unsupported"). Any other `text/x-...` is source code."""
    name = MODULES.get(media_type.lower())
    if name is None and media_type.lower().startswith(("text/x-", "text/css", "text/javascript", "text/xml")):
        name = "code"
    if name is None:
        raise Unparsable("unsupported")
    parser: Parser = import_module(f"uploads.parsers.{name}").parse
    return kept(parser)
