"""The same manuals in five languages, from Debian packages of named versions, as blocks with the section each is in.

Their sections carry the same anchor in every language: that is what makes them labelled data.
"""

import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag, XMLParsedAsHTMLWarning

warnings.filterwarnings("ignore", category=XMLParsedAsHTMLWarning)  # these pages are XHTML, which HTML parsers read

LANGUAGES = ("en", "de", "fr", "zh-cn", "ja")
FAQ_VERSION, REFERENCE_VERSION = "11.1", "2.100"
# Of the reference the chapters on the shell and on packages: 20,000 words a language, beside the FAQ's 30,000.
REFERENCE_CHAPTERS = ("ch01", "ch02")


@dataclass(frozen=True, slots=True)
class ManualBlock:
    text: str
    headings: tuple[str, ...]
    place: dict[str, Any]
    section: str
    kind: str = "text"


def packages() -> list[str]:
    """As apt-get download takes them."""
    faq = ["debian-faq" + ("" if language == "en" else f"-{language}") for language in LANGUAGES]
    reference = [f"debian-reference-{language}" for language in LANGUAGES]
    return [f"{name}={FAQ_VERSION}" for name in faq] + [f"{name}={REFERENCE_VERSION}" for name in reference]


def fetch(folder: Path) -> None:
    """Download and unpack what is not there yet; needs a Debian with these versions in its sources."""
    if (folder / "usr").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", *packages()], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)


def read_manual(folder: Path, language: str) -> list[ManualBlock]:
    """Both books in this language, as one source: its paragraphs are counted through."""
    blocks: list[ManualBlock] = []
    for page in _pages(folder, language):
        soup = BeautifulSoup(page.read_bytes(), "lxml", from_encoding="utf-8")
        for element in soup.find_all(["p", "pre", "table", "dt"]):
            blocks.extend(_blocks(element, len(blocks) + 1))
    return blocks


def _pages(folder: Path, language: str) -> Iterator[Path]:
    faq = folder / "usr/share/doc/debian/FAQ"
    yield from sorted((faq if language == "en" else faq / language).glob(f"*.{language}.html"))
    for chapter in REFERENCE_CHAPTERS:
        yield folder / f"usr/share/debian-reference/{chapter}.{language}.html"


def _blocks(element: Tag, number: int) -> Iterator[ManualBlock]:
    sections = _sections(element)
    if not sections or element.find_parent(["table", "pre"]):
        return
    if element.find_parent(class_=["toc", "navheader", "navfooter"]):
        return
    kind = {"pre": "code", "table": "table"}.get(element.name, "text")
    text = _table_text(element) if kind == "table" else _text(element, is_code=kind == "code")
    headings = tuple(title for _, title in sections)
    yield ManualBlock(text, headings, {"kind": "paragraph", "paragraph": number}, sections[-1][0], kind)


def _sections(element: Tag) -> list[tuple[str, str]]:
    """Anchor and title of each section around the element, outermost first."""
    found = []
    for parent in element.find_parents("div", class_=["chapter", "section", "appendix"]):
        heading = parent.find(["h1", "h2", "h3", "h4"])
        anchor = heading.find("a", id=True) if heading else None
        if heading and anchor:
            found.append((str(anchor["id"]), heading.get_text(" ", strip=True)))
    return found[::-1]


def _text(element: Tag, is_code: bool) -> str:
    return element.get_text().strip("\n") if is_code else " ".join(element.get_text().split())


def _table_text(element: Tag) -> str:
    rows = [[_text(cell, is_code=False) for cell in row.find_all(["td", "th"])] for row in element.find_all("tr")]
    return "\n".join("\t".join(row) for row in rows)
