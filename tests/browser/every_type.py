"""One short text as a file of every type that is read, each made by a program that makes such files."""

import csv
import io
import json
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pillow_heif
from PIL import Image, ImageDraw, ImageFont

from tests.browser.files import docx_file, pptx_file, xlsx_file
from tests.uploads.parsers import office, outlook
from tests.uploads.parsers.corpus import LATIN_FONT

FISH = "Fish is sold on Fridays, and only before noon."
BELL = "The tower has a bell of bronze, which is rung in fog."
ROWS = [["day", "goods", "sold"], ["Friday", "fish", 40], ["Monday", "rope", 7]]
PICTURES = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF", "tiff": "TIFF", "bmp": "BMP", "heic": "HEIF"}


def write_every_type(folder: Path) -> list[Path]:
    """The files, in the order in which they are chosen."""
    written = [*_office(folder), *_texts(folder), *_mails(folder), *_pictures(folder)]
    for path, data in written:
        path.write_bytes(data)
    saved = folder / "saved"
    saved.mkdir()
    paths = [path for path, _ in written]
    for form, source in SAVED.items():
        office.convert([folder / source], form, saved)
        # No name may begin like another: rules.doc stands in rules.docx.
        paths.append((saved / source).with_suffix(f".{form}").rename(saved / f"{form}-{Path(source).stem}.{form}"))
    return paths


# What LibreOffice makes of the first files.
SAVED = {
    "odt": "rules.docx",
    "doc": "rules.docx",
    "rtf": "rules.docx",
    "epub": "rules.docx",
    "pdf": "rules.docx",
    "odp": "talk.pptx",
    "ppt": "talk.pptx",
    "ods": "sales.xlsx",
    "xls": "sales.xlsx",
}


def _office(folder: Path) -> Iterator[tuple[Path, bytes]]:
    yield folder / "rules.docx", docx_file("rules.docx", BELL, FISH)["buffer"]
    yield folder / "talk.pptx", pptx_file("talk.pptx", BELL, FISH)["buffer"]
    yield folder / "sales.xlsx", xlsx_file("sales.xlsx", "Sales", ROWS)["buffer"]


def _texts(folder: Path) -> Iterator[tuple[Path, bytes]]:
    table, tabbed = io.StringIO(), io.StringIO()
    csv.writer(table).writerows(ROWS)
    csv.writer(tabbed, dialect="excel-tab").writerows([*ROWS, ["Tuesday", "tar", 1]])
    texts = {
        "notes.txt": f"{BELL}\n\n{FISH}\n",
        "notes.md": f"# Market\n\n{BELL}\n\n- {FISH}\n",
        "market.csv": table.getvalue(),
        "market.tsv": tabbed.getvalue(),
        "market.json": json.dumps({"market": {"rule": FISH, "tower": BELL}}, indent=2),
        "market.html": f"<!DOCTYPE html><title>Market</title><h1>Market</h1><p>{BELL}</p><p>{FISH}</p>",
        "market.py": f'"""The market."""\n\n\ndef is_open(day):\n    # {FISH}\n    return day == "Friday"\n',
    }
    for name, text in texts.items():
        yield folder / name, text.encode()


def _mails(folder: Path) -> Iterator[tuple[Path, bytes]]:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "Market", "ana@example.org", "bo@example.org"
    mail.set_content(f"{BELL}\n\n{FISH}\n")
    yield folder / "market.eml", mail.as_bytes()
    outlook.write_message(folder / "market.msg", "Market", f"{BELL}\r\n\r\n{FISH}\r\n", {})
    yield folder / "market.msg", (folder / "market.msg").read_bytes()


def _pictures(folder: Path) -> Iterator[tuple[Path, bytes]]:
    pillow_heif.register_heif_opener()
    for ending, form in PICTURES.items():
        picture = Image.new("RGB", (1000, 300), "white")
        font = ImageFont.truetype(str(LATIN_FONT), 34)
        ImageDraw.Draw(picture).multiline_text((40, 60), f"{ending}: market rules\n{FISH}", "black", font, spacing=30)
        saved = io.BytesIO()
        picture.save(saved, form)
        yield folder / f"photo.{ending}", saved.getvalue()
    scan = io.BytesIO()
    picture.save(scan, "PDF", resolution=150)
    yield folder / "scan.pdf", scan.getvalue()
