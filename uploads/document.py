"""What a parser says of a file, in order: how long it is, its located text, how far it has come, what it cannot read.

Knows no Django, no process and no library: parsers, the fence around them and the rows all speak in these words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from uploads.place import Place

Unit = Literal["page", "slide", "sheet", "part", "line"]
BlockKind = Literal["heading", "text", "table", "code", "ocr"]
Fault = Literal[
    "encrypted",  # needs a password
    "broken",
    "empty",  # whole, and without any text
    "unsupported",
    "too_large",
    "too_many_pages",
    "bomb",  # unpacks to far more than it is
    "timeout",  # the fence's own three
    "memory",
    "crashed",
]


class Unparsable(Exception):
    """The file gives no text at all; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Fault = fault


@dataclass(frozen=True, slots=True)
class Started:
    """`total` units are to be read; 0 where that is not known beforehand."""

    unit: Unit
    total: int


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, heading, table or picture text. `headings`: the titles above it, outermost first, without itself.

    A table's text is one line a row, its cells separated by tabs, the header row first.
    """

    kind: BlockKind
    text: str
    place: Place
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    done: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One unit that gave no text though it should have; the others go on."""

    number: int
    fault: Fault


Event = Started | Block | Progress | Unreadable


@dataclass(frozen=True, slots=True)
class Limits:
    max_pages: int = 2000
    max_unpacked_bytes: int = 2 * 1024**3  # of an archive's members together (docx, xlsx, epub are zip files)
    max_pixels: int = 200_000_000  # of one image; a 600 dpi A3 page has 70 million
    max_characters: int = 50_000_000
    ocr_languages: tuple[str, ...] = ("eng", "deu", "chi_sim")
    page_seconds: float = 60.0  # of the processor, for OCR of one page, after which it counts as unreadable


@dataclass(frozen=True, slots=True)
class Source:
    """The file to read: its bytes on disk, its type by content, and its name, which only breaks ties between texts."""

    path: Path
    media_type: str
    name: str
    limits: Limits


class Parser(Protocol):
    """Reads one family of file types; a plain function. Raises Unparsable; yields Started first."""

    def __call__(self, source: Source) -> Iterator[Event]: ...
