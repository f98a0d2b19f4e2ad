"""Where in a file a piece of text stands. Plain JSON, as rows and the browser hold it; knows nothing else.

Numbers count from 1. A box is [left, top, right, bottom] in fractions of its page or image, origin at the top left.
"""

from typing import Literal, TypedDict

Box = list[float]


class PagePlace(TypedDict):
    kind: Literal["page"]
    page: int
    boxes: list[Box]


class SlidePlace(TypedDict):
    """`shape` counts the shapes with text on the slide, in reading order; its notes are shape 0."""

    kind: Literal["slide"]
    slide: int
    shape: int


class ParagraphPlace(TypedDict):
    """`paragraph` counts the blocks of a document that has no fixed pages: paragraphs, headings, tables alike."""

    kind: Literal["paragraph"]
    paragraph: int


class CellsPlace(TypedDict):
    """`range` as a spreadsheet writes it: A2:F40."""

    kind: Literal["cells"]
    sheet: str
    range: str


class RegionPlace(TypedDict):
    """A part of an image; `page` counts the frames of a TIFF, else it is 1."""

    kind: Literal["region"]
    page: int
    boxes: list[Box]


class LinesPlace(TypedDict):
    """Lines of a plain text, both included."""

    kind: Literal["lines"]
    first: int
    last: int


Place = PagePlace | SlidePlace | ParagraphPlace | CellsPlace | RegionPlace | LinesPlace
