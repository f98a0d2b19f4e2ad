"""Web pages, by unstructured: headings, paragraphs, lists, tables, code. Scripts and styles give no text."""

import re
from collections.abc import Iterator
from pathlib import Path

from uploads.document import Block, Event, Progress, Source, Started
from uploads.parsers.charset import encoding_of
from uploads.parsers.elements import blocks
from uploads.parsers.outline import Outline
from uploads.parsers.partitioning import partitioner

HEAD_BYTES = 4096

_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)


def parse(source: Source) -> Iterator[Event]:
    yield Started("part", 1)
    yield from html_blocks(read_page(source.path), Outline())
    yield Progress(1)


def html_blocks(page: str, outline: Outline, numbers: Iterator[int] | None = None) -> Iterator[Block]:
    # An XML declaration with an encoding is refused by lxml in text that is decoded already.
    page = re.sub(r"^\s*<\?xml[^>]*\?>", "", page)
    yield from blocks(partitioner("html")(text=page, languages=[""]), outline, numbers)


def read_page(path: Path) -> str:
    """Decoded as the page says, unless the bytes say otherwise."""
    encoding = encoding_of(path).name
    data = path.read_bytes()
    declared = _CHARSET.search(data[:HEAD_BYTES])
    if encoding != "utf-8" and not encoding.startswith("utf-") and declared:
        try:
            return data.decode(declared[1].decode("ascii"), errors="replace")
        except LookupError:
            pass
    return data.decode(encoding, errors="replace")
