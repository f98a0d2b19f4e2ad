"""What the panel beside the chat shows: one piece of evidence in its surroundings, or a whole file.

The fields of `Source` are those that templates/sources/_source.html tells of.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.urls import reverse

from chatapp.errors import NotFound
from chatapp.evidence.copies import PageCopy, copy_of
from chatapp.evidence.models import Evidence
from chatapp.evidence.parts import Part, parts_of, shared
from chatapp.evidence.places import place_words
from chatapp.searches.models import WebPage
from search.models import Passage
from search.places import column_name, column_number
from uploads.models import Block, Upload

AROUND = 3  # blocks on either side, of a text without pages
LINES_AROUND = 12
MOST_BLOCKS = 400  # of a file that is shown whole
# What every browser draws; a TIFF or HEIC is downloaded.
DRAWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"})
_RANGE = re.compile(r"([A-Z]+)(\d+)(?::([A-Z]+)(\d+))?")


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    is_hit: bool

    @property
    def is_number(self) -> bool:
        return bool(re.fullmatch(r"[-+]?[\d.,' ]*\d\s?%?", self.text))


@dataclass(frozen=True, slots=True)
class Column:
    """`name` is what the table's header calls it, where the header is known."""

    letters: str
    name: str


@dataclass(frozen=True, slots=True)
class SheetRow:
    number: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    text: str
    is_hit: bool


@dataclass(frozen=True, slots=True)
class Source:
    kind: str
    title: str
    is_closed: bool = False
    place_words: str = ""
    headings: tuple[str, ...] = ()
    content_url: str = ""
    excerpt: str = ""
    page: int = 1
    boxes_json: str = "[]"
    image_url: str = ""
    parts: tuple[Part, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: tuple[SheetRow, ...] = ()
    lines: tuple[Line, ...] = ()
    copy: PageCopy | None = None  # of a page of the web


def evidence_source(evidence: Evidence) -> Source:
    """`evidence` with its excerpt and upload."""
    place: dict[str, Any] = evidence.place
    content = _content_url(evidence.upload)
    drawn = _drawn(
        Block.objects.filter(reading=evidence.source_id).order_by("index"), place, evidence.text if content else ""
    )
    return Source(
        kind=place["kind"],
        title=evidence.name,
        place_words=place_words(place),
        headings=tuple(evidence.headings),
        content_url=content,
        excerpt=evidence.text,
        page=place.get("page", 1),
        boxes_json=json.dumps(place.get("boxes", [])),
        image_url=_image_url(evidence.upload),
        **drawn,
    )


def excerpt_source(evidence: Evidence) -> Source:
    """The frozen text alone: its file was deleted, or is not the viewer's to read."""
    return Source(
        kind=evidence.place["kind"],
        title=evidence.name,
        is_closed=evidence.upload_id is not None,
        place_words=place_words(evidence.place),
        headings=tuple(evidence.headings),
        excerpt=evidence.text,
    )


def page_source(page: WebPage, evidence: Evidence | None = None) -> Source:
    """The frozen copy of a page of the web, at its passage or from its beginning."""
    place: dict[str, Any] = evidence.place if evidence else {}
    excerpt = evidence.text if evidence else ""
    copy, parts = copy_of(page, place, excerpt)
    return Source(
        kind="text",
        title=page.title or page.site,
        place_words=place_words(place),
        headings=tuple(evidence.headings) if evidence else (),
        excerpt=excerpt,
        parts=parts,
        copy=copy,
    )


def passage_source(upload: Upload, passage_id: int) -> Source:
    """A passage of this file. Raises NotFound for one of another."""
    passage = Passage.objects.filter(pk=passage_id).first()
    if passage is None or passage.source_id != upload.reading_id:
        raise NotFound
    blocks = Block.objects.filter(reading=upload.reading_id).order_by("index")
    return Source(
        kind=passage.place["kind"],
        title=upload.name,
        place_words=place_words(passage.place),
        headings=tuple(passage.headings),
        content_url=_content_url(upload),
        excerpt=passage.text,
        page=passage.place.get("page", 1),
        boxes_json=json.dumps(passage.place.get("boxes", [])),
        image_url=_image_url(upload),
        **_drawn(blocks, passage.place, passage.text),
    )


def file_source(upload: Upload) -> Source:
    """The file from its beginning."""
    blocks = Block.objects.filter(reading=upload.reading_id).order_by("index")
    first = blocks.first()
    kind = first.place["kind"] if first else "lines"
    place: dict[str, Any] = {"kind": kind}
    if first is not None and kind == "cells":
        place["sheet"] = first.place["sheet"]
    title = upload.name
    return Source(
        kind, title, content_url=_content_url(upload), image_url=_image_url(upload), **_drawn(blocks, place, "")
    )


def _drawn(blocks: QuerySet[Block], place: dict[str, Any], excerpt: str) -> dict[str, Any]:
    match place["kind"]:
        case "slide":
            shown = blocks.filter(place__slide=place["slide"]) if "slide" in place else blocks
            return {"parts": tuple(parts_of(shown[:MOST_BLOCKS], excerpt))}
        case "paragraph":
            shown_blocks = _around(blocks, place["paragraph"], excerpt) if "paragraph" in place else blocks
            return {"parts": tuple(parts_of(shown_blocks[:MOST_BLOCKS], excerpt))}
        case "cells":
            return _sheet(blocks.filter(place__kind="cells", place__sheet=place["sheet"]), place.get("range", ""))
        case "lines":
            return {"lines": tuple(_lines(blocks, place.get("first"), place.get("last")))}
    return {}


def _around(blocks: QuerySet[Block], paragraph: int, excerpt: str) -> Sequence[Block]:
    """The blocks that the passage was made of, and some on either side."""
    first = blocks.filter(place__paragraph=paragraph).first()
    if first is None:
        return ()
    taken = list(blocks.filter(index__gte=max(0, first.index - AROUND))[:60])
    hits = [block.index for block in taken if shared(block.text, excerpt)] or [first.index]
    return [block for block in taken if block.index <= max(hits) + AROUND]


def _lines(blocks: QuerySet[Block], first: int | None, last: int | None) -> Iterable[Line]:
    """The lines of the blocks around the place, each with its own number."""
    if first is not None and last is not None:
        near = Q(place__first__lte=last + LINES_AROUND, place__last__gte=first - LINES_AROUND)
        blocks = blocks.filter(near)
    for block in blocks[:MOST_BLOCKS]:
        for number, text in enumerate(block.text.split("\n"), start=block.place["first"]):
            is_near = first is None or last is None or first - LINES_AROUND <= number <= last + LINES_AROUND
            if is_near:
                yield Line(number, text, first is not None and last is not None and first <= number <= last)


def _sheet(blocks: QuerySet[Block], cells: str) -> dict[str, Any]:
    """The rows of a sheet around its ranges, "B4:C4,B7:C7" for two; all of it where there are none.

    A block may repeat its header above its own rows: it names the columns.
    """
    wanted = [corners for part in cells.split(",") if (corners := _corners(part))]
    rows: dict[int, SheetRow] = {}
    names: dict[int, str] = {}
    left, right = 1, 1
    for block in blocks[:MOST_BLOCKS]:
        corners = _corners(block.place["range"])
        if corners is None or (wanted and not any(_are_near(corners, each) for each in wanted)):
            continue
        left, right = corners[0], max(right, corners[2])
        written = [line.split("\t") for line in block.text.split("\n")]
        num_rows = corners[3] - corners[1] + 1
        header, lines = written[:-num_rows], written[-num_rows:]
        if header and not names:
            names = dict(enumerate(header[0], start=corners[0]))
        for row, line in enumerate(lines, start=corners[1]):
            hits = [each for each in wanted if each[1] <= row <= each[3]]
            marked = [
                Cell(text, any(each[0] <= column <= each[2] for each in hits))
                for column, text in enumerate(line, start=left)
            ]
            rows[row] = SheetRow(row, tuple(marked))
            right = max(right, left + len(line) - 1)
    columns = tuple(Column(column_name(number), names.get(number, "")) for number in range(left, right + 1))
    return {"columns": columns, "rows": tuple(rows[number] for number in sorted(rows))}


def _are_near(block: tuple[int, int, int, int], wanted: tuple[int, int, int, int]) -> bool:
    return block[1] <= wanted[3] + 5 and block[3] >= wanted[1] - 5


def _content_url(upload: Upload | None) -> str:
    return reverse("upload_content", args=[upload.pk]) if upload is not None and upload.blob_id else ""


def _image_url(upload: Upload | None) -> str:
    is_drawn = upload is not None and upload.blob is not None and upload.blob.media_type in DRAWN
    return _content_url(upload) if is_drawn else ""


def _corners(cells: str) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom, from 1."""
    match = _RANGE.fullmatch(cells)
    if match is None:
        return None
    left, top, right, bottom = match[1], int(match[2]), match[3] or match[1], int(match[4] or match[2])
    return column_number(left), top, column_number(right), bottom
