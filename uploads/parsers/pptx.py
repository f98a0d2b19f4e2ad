"""Presentations (pptx, pptm), by python-pptx: slides, their shapes in reading order, tables, charts, notes.

Not through unstructured's partitioner: it tells the slide of a text but not its shape.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pptx import Presentation
from pptx.exc import PackageNotFoundError

from uploads.document import Block, Event, Progress, Source, Started, Unparsable
from uploads.parsers.archive import plain
from uploads.parsers.rows import text_of
from uploads.place import Place

NOTES = 0


def parse(source: Source) -> Iterator[Event]:
    with plain(source) as path:
        try:
            slides = Presentation(str(path)).slides
        except (PackageNotFoundError, KeyError) as error:
            raise Unparsable("broken") from error
    if len(slides) > source.limits.max_pages:
        raise Unparsable("too_many_pages")
    yield Started("slide", len(slides))
    for number, slide in enumerate(slides, 1):
        yield from _slide(slide, number)
        yield Progress(number)


def _slide(slide: Any, number: int) -> Iterator[Block]:
    title = slide.shapes.title
    headings: tuple[str, ...] = ()
    if title is not None and title.text_frame.text.strip():
        headings = (" ".join(title.text_frame.text.split()),)
    shape_number = 0
    for shape in _in_reading_order(slide.shapes):
        found = list(_texts(shape))
        shape_number += bool(found)
        place: Place = {"kind": "slide", "slide": number, "shape": shape_number}
        is_title = title is not None and shape.shape_id == title.shape_id
        for text, is_table in found:
            if is_title:
                yield Block("heading", headings[0], place)
            else:
                yield Block("table" if is_table else "text", text, place, headings)
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
        yield Block("text", _lines(frame.text), {"kind": "slide", "slide": number, "shape": NOTES}, headings)


def _in_reading_order(shapes: Iterable[Any]) -> list[Any]:
    """From the top, then from the left; the title first wherever it stands. Groups are opened."""
    flat = list(_flat(shapes))
    return sorted(flat, key=lambda shape: (not _is_title(shape), shape.top or 0, shape.left or 0))


def _flat(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _flat(shape.shapes)
        else:
            yield shape


def _is_title(shape: Any) -> bool:
    return bool(shape.is_placeholder) and shape.placeholder_format.type in (1, 3)  # TITLE, CENTER_TITLE


def _texts(shape: Any) -> Iterator[tuple[str, bool]]:
    """What a shape says, and whether as a table."""
    if shape.has_text_frame and shape.text_frame.text.strip():
        yield _lines(shape.text_frame.text), False
    elif getattr(shape, "has_table", False):
        yield text_of(None, [[cell.text for cell in row.cells] for row in shape.table.rows]), True
    elif getattr(shape, "has_chart", False) and (table := _chart(shape.chart)):
        yield table, True


def _chart(chart: Any) -> str:
    """The numbers behind a chart: a column a series, a row a category."""
    plot = next(iter(chart.plots), None)
    if plot is None:
        return ""
    series = list(plot.series)
    names = [str(category) for category in plot.categories]
    rows = [
        [name, *(_number(line.values[at]) if at < len(line.values) else "" for line in series)]
        for at, name in enumerate(names)
    ]
    return text_of(["", *(str(line.name) for line in series)], rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.15g}"


def _lines(text: str) -> str:
    """A vertical tab is a line break within a paragraph."""
    return "\n".join(line.strip() for line in text.replace("\v", "\n").splitlines() if line.strip())
