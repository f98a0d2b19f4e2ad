"""A page as a source: what it is, and its text in located blocks that search.passages can cut. Knows no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from search.passages import Located
from search.web.fragments import fragment

BlockKind = Literal["heading", "text", "table", "code"]


class TextPlace(TypedDict):
    """`paragraph` counts the page's blocks from 1; `fragment` is for the link to the live page."""

    kind: Literal["text"]
    paragraph: int
    fragment: str


@dataclass(frozen=True, slots=True)
class PageBlock:
    """`headings`: the titles above it, outermost first, without itself. A table's rows are lines, its cells tabbed."""

    kind: BlockKind
    text: str
    headings: tuple[str, ...]
    place: TextPlace


@dataclass(frozen=True, slots=True)
class About:
    """What a page says of itself; `date` is an ISO date, `canonical` an address on its own site.

    `icon` is where the small picture of its site is, wherever that may be.
    """

    title: str = ""
    site: str = ""
    date: str | None = None
    language: str | None = None
    canonical: str | None = None
    icon: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`url` is where it was read; `is_cut` where its end was left out."""

    url: str
    about: About
    blocks: Sequence[Located]
    is_cut: bool = False

    @property
    def num_characters(self) -> int:
        return sum(len(block.text) for block in self.blocks)


class Outline:
    """Collects a page's blocks in order and knows under which headings each stands."""

    def __init__(self) -> None:
        self.blocks: list[PageBlock] = []
        self._path: list[tuple[int, str]] = []

    def add_heading(self, level: int, text: str) -> None:
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        if text:
            self._add("heading", text)
            self._path.append((level, text))

    def add(self, kind: BlockKind, text: str) -> None:
        if text.strip():
            self._add(kind, text)

    def _add(self, kind: BlockKind, text: str) -> None:
        place = TextPlace(kind="text", paragraph=len(self.blocks) + 1, fragment=fragment(text))
        self.blocks.append(PageBlock(kind, text, tuple(title for _, title in self._path), place))
