"""Lines with boxes on a page, as text or OCR found them, gathered into paragraphs. Knows no library.

Boxes are fractions of the page, origin top left; sizes (of a line's font) too.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from uploads.place import Box

CHARACTERS_A_PARAGRAPH = 2000
# A line further below than this, in line heights, begins a paragraph.
MAX_GAP = 0.65
# Lines of one paragraph keep their distance within this, in line heights.
GAP_TOLERANCE = 0.25
MAX_SIZE_RATIO = 1.12
# For boxes that hug their letters, where a line without descenders is lower than the next.
MAX_PITCH_RATIO = 1.4
# Two spaces between lines of text, in heights of their letters; more is a gap, even between two lines alone.
MAX_PITCH = 2.4
MAX_LETTER_RATIO = 1.6

_CJK = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_ENDS_CJK = re.compile(rf"[{_CJK}]$")
_STARTS_CJK = re.compile(rf"^[{_CJK}]")
_SOFT_HYPHEN = re.compile("\\xad$")
# PDFium writes U+0002 or U+FFFE for a hyphen that ends a line.
_HYPHEN = re.compile("[^\\W\\d_][-\u2010\x02\ufffe]$")
_LIST_MARK = re.compile(r"^(?:[•◦▪‣●○■\uf0b7–—*-]|\(?[0-9]{1,3}[.)]|\(?[a-z][.)])\s")
# "Vor- und Nachteile" keeps its hyphen.
_CONJUNCTION = re.compile(r"^(?:und|oder|sowie|bis|and|or|to)\b")


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    box: Box
    size: float


@dataclass(slots=True)
class Paragraph:
    lines: list[Line] = field(default_factory=list)

    @property
    def text(self) -> str:
        return joined(line.text for line in self.lines)

    @property
    def box(self) -> Box:
        return union(line.box for line in self.lines)

    @property
    def size(self) -> float:
        return self.lines[0].size


def union(boxes: Iterable[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return [min(lefts), min(tops), max(rights), max(bottoms)]


def joined(lines: Iterable[str]) -> str:
    """One text: words cut by a hyphen made whole, Chinese without spaces between its lines."""
    text = ""
    for line in (line.strip() for line in lines):
        if not text or not line:
            text = text or line
        elif _SOFT_HYPHEN.search(text):
            text = text[:-1] + line
        elif _HYPHEN.search(text) and not _CONJUNCTION.match(line):
            text = text[:-1] + ("" if line[0].islower() else "-") + line
        elif _ENDS_CJK.search(text) and _STARTS_CJK.search(line):
            text += line
        else:
            text += " " + line
    return text.replace("\x02", "-").replace("\ufffe", "-")


def paragraphs(lines: Iterable[Line]) -> Iterator[Paragraph]:
    """Lines in reading order; a paragraph ends at a wider gap, another size, another column or a list mark."""
    paragraph = Paragraph()
    num_characters = 0
    for line in lines:
        if paragraph.lines and (_begins(line, paragraph) or num_characters > CHARACTERS_A_PARAGRAPH):
            yield paragraph
            paragraph, num_characters = Paragraph(), 0
        paragraph.lines.append(line)
        num_characters += len(line.text)
    if paragraph.lines:
        yield paragraph


def paragraphs_by_pitch(lines: Iterable[Line]) -> Iterator[Paragraph]:
    """The same for lines whose boxes hug their letters, as OCR finds them: only the distance of lines tells.

    A paragraph ends where a line stands elsewhere, much further below or much larger than is usual in its column.
    """
    for column in _columns(lines):
        pitches = [after.box[1] - before.box[1] for before, after in pairwise(column)]
        usual = min(median(pitches or [1.0]), MAX_PITCH * median(line.size for line in column))
        paragraph = Paragraph(column[:1])
        for pitch, line in zip(pitches, column[1:], strict=True):
            sizes = sorted((line.size, paragraph.lines[-1].size))
            is_apart = pitch > MAX_PITCH_RATIO * usual or sizes[1] > MAX_LETTER_RATIO * sizes[0]
            if is_apart or _LIST_MARK.match(line.text):
                yield paragraph
                paragraph = Paragraph()
            paragraph.lines.append(line)
        yield paragraph


def _columns(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Runs of lines of which each stands below the one before."""
    column: list[Line] = []
    for line in lines:
        last = column[-1] if column else line
        is_below = line.box[1] > last.box[1] and line.box[0] < last.box[2] and line.box[2] > last.box[0]
        if column and not is_below:
            yield column
            column = []
        column.append(line)
    if column:
        yield column


def _begins(line: Line, paragraph: Paragraph) -> bool:
    last = paragraph.lines[-1]
    height = max(min(line.box[3] - line.box[1], last.box[3] - last.box[1]), 1e-6)
    gap = (line.box[1] - last.box[3]) / height
    sizes = sorted((line.size, paragraph.size))
    if gap > MAX_GAP or gap < -1.5 or sizes[1] > sizes[0] * MAX_SIZE_RATIO:
        return True
    if line.box[0] > last.box[2] or line.box[2] < last.box[0]:
        return gap > -0.5  # beside it: the next cell of a row, not the next line
    if _LIST_MARK.match(line.text):
        return True
    if len(paragraph.lines) > 1:
        before = paragraph.lines[-2]
        return gap > (last.box[1] - before.box[3]) / height + GAP_TOLERANCE
    return False
