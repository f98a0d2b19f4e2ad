"""Types by content: files of real programs under wrong names, and bytes that were never a file."""

import io
import random
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import docx
import openpyxl
import pillow_heif
import pptx
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from tests.uploads.building import compound
from uploads.sniffing import DOCM, DOCX, PPTX, XLSX, sniff

OPEN = "application/vnd.oasis.opendocument"


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def document() -> bytes:
    made = docx.Document()
    made.add_paragraph("Hello")
    return saved(made.save)


def pdf() -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file)
    canvas.drawString(72, 700, "Hello")
    canvas.save()
    return file.getvalue()


def picture(kind: str) -> bytes:
    pillow_heif.register_heif_opener()
    return saved(lambda file: Image.new("RGB", (64, 64), "red").save(file, kind))


def mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "Hello"
    message["Date"] = "Thu, 26 Nov 2026 10:00:00 +0000"
    message.set_content("How are you?")
    message.add_attachment(b"\x00\x01", maintype="application", subtype="octet-stream", filename="a.bin")
    return message.as_bytes()


def zipped(members: dict[str, bytes], comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.comment = comment
    return file.getvalue()


def macro_document() -> bytes:
    plain = "wordprocessingml.document.main+xml"
    file = io.BytesIO(document())
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    types = members["[Content_Types].xml"]
    with_macro = b"application/vnd.ms-word.document.macroEnabled.main+xml"
    members["[Content_Types].xml"] = types.replace(
        f"application/vnd.openxmlformats-officedocument.{plain}".encode(), with_macro
    )
    return zipped(members)


@pytest.fixture
def kind(tmp_path: Path) -> Callable[[bytes, str], str | None]:
    def sniffed(content: bytes, name: str) -> str | None:
        path = tmp_path / "bytes"
        path.write_bytes(content)
        return sniff(path, name)

    return sniffed


Kind = Callable[[bytes, str], str | None]

BINARY = [
    (document, DOCX),
    (lambda: saved(pptx.Presentation().save), PPTX),
    (lambda: saved(openpyxl.Workbook().save), XLSX),
    (macro_document, DOCM),
    (lambda: zipped({"a.txt": b"", "mimetype": f"{OPEN}.text".encode()}), f"{OPEN}.text"),
    (lambda: zipped({"mimetype": f"{OPEN}.spreadsheet-template".encode()}), f"{OPEN}.spreadsheet"),
    (lambda: zipped({"mimetype": b"application/epub+zip\n", "META-INF/container.xml": b""}), "application/epub+zip"),
    (lambda: zipped({"META-INF/container.xml": b""}), "application/epub+zip"),
    (pdf, "application/pdf"),
    (lambda: b"\r\n\r\n" + pdf(), "application/pdf"),
    (lambda: b"\x00\x01junk of a mail gateway" + pdf(), "application/pdf"),
    (lambda: picture("PNG"), "image/png"),
    (lambda: picture("JPEG"), "image/jpeg"),
    (lambda: picture("WEBP"), "image/webp"),
    (lambda: picture("GIF"), "image/gif"),
    (lambda: picture("TIFF"), "image/tiff"),
    (lambda: picture("BMP"), "image/bmp"),
    (lambda: picture("HEIF"), "image/heic"),
    (lambda: compound({"WordDocument": b"", "1Table": b""}), "application/msword"),
    (lambda: compound({"Workbook": b""}), "application/vnd.ms-excel"),
    (lambda: compound({"Current User": b"", "PowerPoint Document": b""}), "application/vnd.ms-powerpoint"),
    (lambda: compound({"__properties_version1.0": b""}), "application/vnd.ms-outlook"),
    (lambda: document()[:-100], DOCX),  # its end is torn off
    (lambda: document() + b"trailing", DOCX),
    # The first bytes decide: what else it may be taken for is nobody's concern.
    (lambda: pdf() + document(), "application/pdf"),
    # What there is no parser for.
    (lambda: zipped({"a.txt": b"hello"}), None),
    (lambda: zipped({}), None),
    (lambda: b"\x7fELF" + bytes(200), None),
    (lambda: b"\x7fELF", None),
    (lambda: b"MZ" + bytes(200), None),
    (lambda: compound({"Something": b""}), None),
    (lambda: picture("ICO"), None),
    (lambda: bytes(5000), None),
    (lambda: random.Random(1).randbytes(5000), None),
    (lambda: b"Some text, then something else\x00\x01\x02\x03" + bytes(100), None),
]


@pytest.mark.parametrize("name", ["file", "file.txt", "file.pdf", "file.docx", "file.png", "../../etc/passwd\x00.md"])
@pytest.mark.parametrize(("make", "expected"), BINARY)
def test_the_content_decides_whatever_the_name_says(
    kind: Kind, make: Callable[[], bytes], expected: str | None, name: str
) -> None:
    assert kind(make(), name) == expected


PROSE = "The quick brown fox, they say, jumps.\nThat is all, and no more.\n" * 20
MARKUP = "# Title\n\nSome *text* with a [link](https://example.org).\n\n- one\n- two\n"
TABLE = "name,age,town\nAda,36,London\nGrace,45,New York\n"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("", "empty.docx", "text/plain"),
        (PROSE, "a.txt", "text/plain"),
        (PROSE, "a.docx", "text/plain"),
        (PROSE, "a.pdf", "text/plain"),
        ("BMW builds cars, and GIF89a is a name.\n", "a.txt", "text/plain"),
        ("Straße, naïve, 北京, Привет\n", "a", "text/plain"),
        (MARKUP, "a.md", "text/markdown"),
        (MARKUP, "a", "text/markdown"),
        (MARKUP, "a.exe", "text/markdown"),
        ("# a comment\nx = 1\n# another\n", "a.py", "text/x-python"),
        ("plain words\n", "a.md", "text/markdown"),
        (TABLE, "a", "text/csv"),
        (TABLE, "a.xlsx", "text/csv"),
        (TABLE.replace(",", ";"), "a", "text/csv"),
        (TABLE.replace(",", "\t"), "a.txt", "text/tab-separated-values"),
        ("one\n", "a.csv", "text/csv"),
        ('{"a": [1, 2]}', "a", "application/json"),
        ('{"a": [1, 2]}', "a.csv", "application/json"),
        ('[{"a": 1},\n{"a": 2}]\n', "a.html", "application/json"),
        ('{"a": 1}\n{"a": 2}\n', "a.txt", "application/json"),
        ("{// with a comment\n}", "a.json", "application/json"),
        ("[section]\nkey = value\n", "a.toml", "application/toml"),
        ("<!DOCTYPE html>\n<title>Hello</title>", "a.txt", "text/html"),
        ("<!-- a --> <!-- b -->\n<html lang=en><p>Hello", "a.csv", "text/html"),
        ("<p>Hello <b>there</b></p>", "a.html", "text/html"),
        ("no tag at all", "a.html", "text/plain"),
        ('<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html/>', "a", "application/xhtml+xml"),
        ('<?xml version="1.0"?><note>Hello</note>', "a.txt", "application/xml"),
        ("<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "a.png", "application/xml"),
        ("#!/usr/bin/env python3\nprint('hello')\n", "a", "text/x-python"),
        ("#!/bin/sh -e\necho hello\n", "a.txt", "application/x-sh"),
        ("def main():\n    return 1\n", "a.py", "text/x-python"),
        ("all:\n\techo hello\n", "Makefile", "text/x-makefile"),
        ("{\\rtf1\\ansi Hello}", "a.doc", "application/rtf"),
        (mail().decode(), "a.txt", "message/rfc822"),
        ("Subject: a note\n\nfrom me: to you\n", "a.txt", "text/plain"),
    ],
)
def test_texts_are_told_apart_by_content_and_only_then_by_name(kind: Kind, text: str, name: str, expected: str) -> None:
    assert kind(text.encode(), name) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252", "utf-32"])
def test_western_text_is_text_in_every_encoding(kind: Kind, encoding: str) -> None:
    assert kind(("Schöne Grüße aus Köln.\n" * 5000).encode(encoding), "a.bin") == "text/plain"


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "shift_jis", "iso2022_jp", "utf-8", "utf-16"])
def test_chinese_and_japanese_text_is_text(kind: Kind, encoding: str) -> None:
    text = "日本語文章" if "j" in encoding else "中文文本"
    assert kind((text * 30_000 + "\n").encode(encoding), "a.bin") == "text/plain"


@pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice")
def test_files_that_libreoffice_wrote(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(document())
    table = openpyxl.Workbook()
    table["Sheet"].append(["a", 1])
    table.save(tmp_path / "b.xlsx")
    slides = pptx.Presentation()
    slides.slides.add_slide(slides.slide_layouts[0])
    slides.save(str(tmp_path / "c.pptx"))
    expected = {
        ("a.docx", "doc"): "application/msword",
        ("a.docx", "odt"): f"{OPEN}.text",
        ("a.docx", "docx"): DOCX,
        ("b.xlsx", "xls"): "application/vnd.ms-excel",
        ("c.pptx", "ppt"): "application/vnd.ms-powerpoint",
    }
    for (name, to), media_type in expected.items():
        command = ["soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to", to]
        out = tmp_path / to
        subprocess.run([*command, "--outdir", out, tmp_path / name], check=True, capture_output=True, timeout=120)
        written = out / Path(name).with_suffix(f".{to}")
        assert kind(written.read_bytes(), "a.txt") == media_type, to
        if to == "docx":
            assert kind(written.read_bytes()[:-3000], "a.txt") == media_type


SLOW = [
    b"<!---->" * 20_000,
    b"<!--" * 30_000,
    b"[" * 100_000,
    b"<a" + b"a" * 100_000,
    b"<" * 100_000,
    b"**a " * 30_000,
    b"\n" * 100_000 + b"# a",
    b"#!" + b"1" * 100_000,
    b"---\n" * 30_000,
    b"- a\n" * 30_000,
    b"a" * 99 + b":\n" * 50_000,
    b"<?xml " + b"?" * 100_000,
    b'"' * 100_000,
    b",,," * 30_000,
]


@pytest.mark.parametrize("name", ["a", "a.html", "a.md", "a.eml"])
def test_no_text_takes_long_to_look_at(kind: Kind, name: str) -> None:
    for text in SLOW:
        began = time.process_time()
        kind(text, name)
        took = time.process_time() - began
        assert took < 1, (text[:20], took)


def test_broken_files_are_looked_at_without_an_exception(kind: Kind) -> None:
    chance = random.Random(26)
    wholes = [document(), compound({"WordDocument": b"", "Data": b""}), pdf(), picture("PNG"), mail(), picture("HEIF")]
    for whole in wholes:
        for _ in range(60):
            torn = bytearray(whole[: chance.randrange(1, len(whole))])
            for _ in range(chance.randrange(20)):
                torn[chance.randrange(len(torn))] = chance.randrange(256)
            kind(bytes(torn), "a.docx")


def test_an_archive_of_countless_members_is_not_taken_into_memory(kind: Kind) -> None:
    """A directory that claims four gigabytes, and one that loops back to its own start."""
    whole = bytearray(document())
    end = whole.rfind(b"PK\x05\x06")
    whole[end + 12 : end + 16] = b"\xff" * 4
    assert kind(bytes(whole), "a") in (DOCX, None)
    looped = bytearray(compound({"WordDocument": b""}))
    table = len(looped) - 512
    looped[table + 32 : table + 36] = (8).to_bytes(4, "little")  # the directory's sector is followed by itself
    assert kind(bytes(looped), "a") == "application/msword"
