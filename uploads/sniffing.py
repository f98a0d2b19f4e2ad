"""The media type of a file by what is in it. Its name decides only between kinds of text that the content leaves open.

Reads a bounded part of the file: this is called in the web process, before anything is fenced. Whatever it is fooled
into, the parser it chose still runs behind the fence. Knows no Django.
"""

import re
from pathlib import Path

import filetype

from uploads.archive import LOCAL, Archive
from uploads.compound import MAGIC, top_names
from uploads.text_kinds import ending_of, kind_of_text

SAMPLE_BYTES = 1 << 16
MEMBER_BYTES = 1 << 18

OFFICE = "application/vnd.openxmlformats-officedocument"
DOCX = f"{OFFICE}.wordprocessingml.document"
PPTX = f"{OFFICE}.presentationml.presentation"
XLSX = f"{OFFICE}.spreadsheetml.sheet"
DOCM = "application/vnd.ms-word.document.macroenabled.12"
PPTM = "application/vnd.ms-powerpoint.presentation.macroenabled.12"
XLSM = "application/vnd.ms-excel.sheet.macroenabled.12"
# What the main part of an Office file calls itself in [Content_Types].xml, templates and slide shows included.
MAIN_PARTS = {
    f"{OFFICE}.wordprocessingml.document.main+xml": DOCX,
    f"{OFFICE}.wordprocessingml.template.main+xml": DOCX,
    "application/vnd.ms-word.document.macroenabled.main+xml": DOCM,
    "application/vnd.ms-word.template.macroenabledtemplate.main+xml": DOCM,
    f"{OFFICE}.presentationml.presentation.main+xml": PPTX,
    f"{OFFICE}.presentationml.slideshow.main+xml": PPTX,
    f"{OFFICE}.presentationml.template.main+xml": PPTX,
    "application/vnd.ms-powerpoint.presentation.macroenabled.main+xml": PPTM,
    "application/vnd.ms-powerpoint.slideshow.macroenabled.main+xml": PPTM,
    "application/vnd.ms-powerpoint.template.macroenabled.main+xml": PPTM,
    f"{OFFICE}.spreadsheetml.sheet.main+xml": XLSX,
    f"{OFFICE}.spreadsheetml.template.main+xml": XLSX,
    "application/vnd.ms-excel.sheet.macroenabled.main+xml": XLSM,
    "application/vnd.ms-excel.template.macroenabled.main+xml": XLSM,
}
CONTENT_TYPE = re.compile(rb"""ContentType\s*=\s*["']([^"']{1,200})["']""")
# What the member `mimetype` says, templates by their prefix.
OPEN_DOCUMENTS = (
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.presentation",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/epub+zip",
)
# Where an archive is torn or forgot to say what it is.
PARTS = {
    b"word/document.xml": DOCX,
    b"ppt/presentation.xml": PPTX,
    b"xl/workbook.xml": XLSX,
    b"META-INF/container.xml": "application/epub+zip",
}
# Names at the top of a compound file.
COMPOUND = {
    "WordDocument": "application/msword",
    "Workbook": "application/vnd.ms-excel",
    "Book": "application/vnd.ms-excel",
    "PowerPoint Document": "application/vnd.ms-powerpoint",
    "__properties_version1.0": "application/vnd.ms-outlook",
}
LOCKED = "EncryptedPackage"
LOCKED_BY_ENDING = {"xls": XLSX, "ppt": PPTX, "pps": PPTX}
PICTURES = {f"image/{kind}" for kind in "png jpeg webp gif tiff bmp heic".split()}


def sniff(path: Path, name: str) -> str | None:
    """A media type that has a parser, or None. An empty file is text: it has nothing else to be."""
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    if head.startswith(LOCAL):
        return inside_zip(path)
    if head.startswith(MAGIC):
        return inside_compound(path, name)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n\x00").startswith(b"%PDF-"):
        return "application/pdf"
    if head.lstrip().startswith(rb"{\rtf"):
        return "application/rtf"
    if (kind := kind_of_text(path, name)) is not None:
        return kind
    # Readers forgive a PDF up to a kilobyte of anything before it.
    if b"%PDF-" in head[:1024]:
        return "application/pdf"
    guess = filetype.guess_mime(head)
    guess = "image/png" if guess == "image/apng" else guess
    return guess if guess in PICTURES else None


def inside_zip(path: Path) -> str | None:
    archive = Archive(path)
    said = archive.head(b"mimetype", 200).decode("ascii", "replace").strip()
    for known in OPEN_DOCUMENTS:
        if said == known or said == f"{known}-template":
            return known
    for part in CONTENT_TYPE.findall(archive.head(b"[Content_Types].xml", MEMBER_BYTES)):
        if (known_part := MAIN_PARTS.get(part.decode("ascii", "replace").lower())) is not None:
            return known_part
    return next((known for part, known in PARTS.items() if part in archive), None)


def inside_compound(path: Path, name: str) -> str | None:
    names = top_names(path)
    if LOCKED in names:
        # What it is stays hidden until the password is known, so that here alone the name has to do.
        return LOCKED_BY_ENDING.get(ending_of(name)[:3], DOCX)
    return next((known for part, known in COMPOUND.items() if part in names), None)
