"""OpenDocument presentations: slides, their shapes in reading order, tables, notes. By lxml; no library reads them."""

import re
from collections.abc import Iterable, Iterator

from lxml import etree

from uploads.document import Block, Event, Progress, Source, Started, Unparsable
from uploads.parsers.archive import opened, read_xml
from uploads.parsers.rows import text_of
from uploads.place import Place

NAMES = {
    prefix: f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"
    for prefix, name in {
        "draw": "drawing",
        "presentation": "presentation",
        "svg": "svg-compatible",
        "table": "table",
        "text": "text",
    }.items()
}
SHAPES = ("frame", "custom-shape", "rect", "ellipse", "line", "connector", "polygon", "path")
NOTES_SHAPE = 0
UNITS_CM = {"cm": 1.0, "mm": 0.1, "in": 2.54, "pt": 2.54 / 72}


def name(prefix: str, local: str) -> str:
    return f"{{{NAMES[prefix]}}}{local}"


def parse(source: Source) -> Iterator[Event]:
    with opened(source.path, source.limits) as archive:
        try:
            content = read_xml(archive, "content.xml")
        except (KeyError, etree.XMLSyntaxError) as error:
            raise Unparsable("broken") from error
    slides = list(content.iter(name("draw", "page")))
    if len(slides) > source.limits.max_pages:
        raise Unparsable("too_many_pages")
    yield Started("slide", len(slides))
    for number, slide in enumerate(slides, 1):
        yield from _slide(slide, number)
        yield Progress(number)


def _slide(slide: etree._Element, number: int) -> Iterator[Block]:
    notes = slide.find(name("presentation", "notes"))
    shapes = [shape for shape in _shapes(slide) if _text(shape) or _table(shape) is not None]
    title = next((_text(shape) for shape in shapes if _is(shape, "title")), "")
    headings = (" ".join(title.split()),) if title else ()
    for index, shape in enumerate(sorted(shapes, key=_reading_order), 1):
        place: Place = {"kind": "slide", "slide": number, "shape": index}
        if (table := _table(shape)) is not None:
            yield Block("table", table, place, headings)
        elif _is(shape, "title"):
            yield Block("heading", _text(shape), place)
        else:
            yield Block("text", _text(shape), place, headings)
    if said := "\n".join(_text(shape) for shape in _shapes(notes if notes is not None else []) if _is(shape, "notes")):
        yield Block("text", said, {"kind": "slide", "slide": number, "shape": NOTES_SHAPE}, headings)


def _shapes(parent: Iterable[etree._Element]) -> Iterator[etree._Element]:
    """Groups opened, notes left out."""
    for child in parent:
        if child.tag == name("draw", "g"):
            yield from _shapes(child)
        elif child.tag in {name("draw", shape) for shape in SHAPES}:
            yield child


def _is(shape: etree._Element, part: str) -> bool:
    """Whether it is this part of a slide's layout."""
    return bool(shape.get(name("presentation", "class")) == part)


def _reading_order(shape: etree._Element) -> tuple[bool, float, float]:
    return not _is(shape, "title"), _length(shape.get(name("svg", "y"))), _length(shape.get(name("svg", "x")))


def _length(written: str | None) -> float:
    match = re.fullmatch(r"(-?[\d.]+)([a-z]{2})", written or "")
    return float(match[1]) * UNITS_CM.get(match[2], 1.0) if match else 0.0


def _table(shape: etree._Element) -> str | None:
    table = shape.find(name("table", "table"))
    if table is None:
        return None
    rows = [
        [_paragraphs(cell).replace("\n", " ") for cell in row.iterchildren(name("table", "table-cell"))]
        for row in table.iter(name("table", "table-row"))
    ]
    return text_of(None, rows)


def _text(shape: etree._Element) -> str:
    return "" if shape.find(name("table", "table")) is not None else _paragraphs(shape)


def _paragraphs(parent: etree._Element) -> str:
    found = (_words(item) for item in parent.iter(name("text", "p"), name("text", "h")))
    return "\n".join(text for text in found if text)


def _words(paragraph: etree._Element) -> str:
    """Spaces, tabs and line breaks are elements of their own."""
    parts = [paragraph.text or ""]
    for item in paragraph.iterdescendants():
        if item.tag in (name("text", "s"), name("text", "tab"), name("text", "line-break")):
            parts.append(" ")
        else:
            parts.append(item.text or "")
        parts.append(item.tail or "")
    return " ".join("".join(parts).split())
