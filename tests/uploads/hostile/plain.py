"""Harmless files of every kind, which the others are bent from. Made by the libraries people make theirs with."""

import io
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage
from functools import cache

import docx
import openpyxl
import pptx
from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfgen.canvas import Canvas

from tests.uploads.building import archive, packed

TEXT = "The harbour station was built in 1911."
CONTAINER = b"""<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
BOOK = b"""<?xml version="1.0"?>%s<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>%s</dc:title><dc:language>en</dc:language>
<dc:identifier id="id">1</dc:identifier></metadata><manifest>
<item id="one" href="%s" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="one"/></spine>
</package>"""
CHAPTER = b"""<?xml version="1.0"?>%s<html xmlns="http://www.w3.org/1999/xhtml"><head><title>One</title></head>
<body><h1>One</h1><p>%s</p></body></html>"""
OPEN_TEXT = b"""<?xml version="1.0"?>%s<office:document-content office:version="1.3"
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" xmlns:xlink="http://www.w3.org/1999/xlink">
<office:body><office:text><text:p>%s</text:p></office:text></office:body></office:document-content>"""
MANIFEST = b"""<?xml version="1.0"?><manifest:manifest manifest:version="1.3"
 xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">
<manifest:file-entry manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.text"/>
<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml">%s</manifest:file-entry>
</manifest:manifest>"""


@cache
def document() -> bytes:
    made = docx.Document()
    made.add_heading("Report", 1)
    made.add_paragraph(TEXT)
    table = made.add_table(2, 2)
    table.cell(0, 0).text, table.cell(1, 1).text = "year", "1911"
    return written(made.save)


@cache
def sheet() -> bytes:
    made = openpyxl.Workbook()
    made.active.append(["name", "year"])
    made.active.append([TEXT, 1911])
    return written(made.save)


@cache
def slides() -> bytes:
    made = pptx.Presentation()
    made.slides.add_slide(made.slide_layouts[0]).shapes.title.text = TEXT
    return written(made.save)


@cache
def page() -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file)
    canvas.drawString(72, 700, TEXT)
    canvas.showPage()
    canvas.drawString(72, 700, "The second page.")
    canvas.save()
    return file.getvalue()


@cache
def picture(kind: str) -> bytes:
    image = Image.new("RGB", (900, 160), "white")
    ImageDraw.Draw(image).text((20, 50), TEXT, fill="black", font=ImageFont.load_default(36))
    return written(lambda file: image.save(file, kind))


@cache
def mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "Harbour"
    message["Date"] = "Thu, 26 Nov 2026 10:00:00 +0000"
    message.set_content(TEXT)
    message.add_alternative(f"<p>{TEXT}</p>", subtype="html")
    return message.as_bytes()


def open_text(prolog: bytes = b"", text: bytes = TEXT.encode(), sealed: bytes = b"") -> bytes:
    kind = b"application/vnd.oasis.opendocument.text"
    members = {"mimetype": kind, "content.xml": OPEN_TEXT % (prolog, text), "META-INF/manifest.xml": MANIFEST % sealed}
    return zipped(members)


def book(
    prolog: bytes = b"",
    title: bytes = b"Harbour",
    chapter: bytes = CHAPTER % (b"", TEXT.encode()),
    href: str = "one.xhtml",
) -> bytes:
    opf = BOOK % (prolog, title, href.encode())
    return zipped(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "book.opf": opf,
            "one.xhtml": chapter,
        }
    )


def zipped(members: Mapping[str, bytes]) -> bytes:
    return archive(packed(name, data) for name, data in members.items())


def members_of(whole: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def bent(whole: bytes, **replaced: bytes) -> bytes:
    """An archive with members replaced or added; "__" in a keyword is a slash, and every one ends in .xml."""
    return zipped(members_of(whole) | {f"{name.replace('__', '/')}.xml": data for name, data in replaced.items()})


def written(save: object) -> bytes:
    file = io.BytesIO()
    assert callable(save)
    save(file)
    return file.getvalue()
