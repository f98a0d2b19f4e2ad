"""Books (EPUB): chapters in the order of the spine, each a web page by unstructured, under its title in the contents.

Not through unstructured's own partitioner of books: it needs pandoc and makes one page of all chapters.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from urllib.parse import unquote
from zipfile import ZipFile

from lxml import etree

from uploads.document import Event, Progress, Source, Started, Unparsable, Unreadable
from uploads.parsers.archive import opened, read_xml
from uploads.parsers.html import html_blocks
from uploads.parsers.outline import Outline

CONTAINER, LOCK = "META-INF/container.xml", "META-INF/encryption.xml"
PAGES = {"application/xhtml+xml", "text/html"}


def parse(source: Source) -> Iterator[Event]:
    with opened(source.path, source.limits) as archive:
        try:
            chapters, titles = _book(archive)
        except (KeyError, etree.XMLSyntaxError) as error:
            raise Unparsable("broken") from error
        if _is_locked(archive, chapters):
            raise Unparsable("encrypted")
        if len(chapters) > source.limits.max_pages:
            raise Unparsable("too_many_pages")
        yield Started("part", len(chapters))
        numbers = count(1)
        for number, chapter in enumerate(chapters, 1):
            yield from _chapter(archive, chapter, number, titles.get(chapter, ""), numbers)
            yield Progress(number)


def _chapter(archive: ZipFile, chapter: str, number: int, title: str, numbers: Iterator[int]) -> Iterator[Event]:
    try:
        page = archive.read(chapter).decode("utf-8", errors="replace")
    except KeyError:
        yield Unreadable(number, "broken")
        return
    found = list(html_blocks(page, Outline(), numbers))
    if title and not any(block.kind == "heading" for block in found):
        found = [replace(block, headings=(title,)) for block in found]
    yield from found


def _book(archive: ZipFile) -> tuple[list[str], dict[str, str]]:
    """The members of the spine, and the title of each in the table of contents."""
    package_name = next(iter(read_xml(archive, CONTAINER).iter("{*}rootfile"))).get("full-path", "")
    package = read_xml(archive, package_name)
    items = {item.get("id"): item for item in package.iter("{*}item")}
    references = [items.get(entry.get("idref")) for entry in package.iter("{*}itemref")]
    spine = [
        _resolve(package_name, item.get("href", ""))
        for item in references
        if item is not None and item.get("media-type") in PAGES
    ]
    titles: dict[str, str] = {}
    for item in items.values():
        href = _resolve(package_name, item.get("href", ""))
        if "nav" in (item.get("properties") or "").split():
            links = ((link.get("href"), "".join(link.itertext())) for link in read_xml(archive, href).iter("{*}a"))
        elif item.get("media-type") == "application/x-dtbncx+xml":
            links = (
                (point.find("{*}content").get("src"), "".join(point.find("{*}navLabel").itertext()))
                for point in read_xml(archive, href).iter("{*}navPoint")
            )
        else:
            continue
        for target, label in links:
            titles.setdefault(_resolve(href, target or ""), " ".join(label.split()))
    return spine, titles


def _resolve(base: str, href: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(href.partition("#")[0])))


def _is_locked(archive: ZipFile, chapters: list[str]) -> bool:
    """Fonts are often scrambled; a chapter that is cannot be read."""
    if LOCK not in archive.namelist():
        return False
    references = {unquote(item.get("URI", "")) for item in read_xml(archive, LOCK).iter("{*}CipherReference")}
    return bool(references & set(chapters))
