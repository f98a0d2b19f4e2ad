"""One page of a PDF: its lines of text with their boxes, how much of it is a picture, and its image for OCR.

Knows pypdfium2 and nothing above it. PDFium runs no JavaScript of a document here and follows no link.
"""

import ctypes
import re
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeAlias

import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL.Image import Image

from uploads.parsers.layout import Line
from uploads.place import Box

# PDFium answers in whole pixels of a device; this many make a fraction exact to 0.001 mm on A4.
DEVICE = 1_000_000
OCR_DPI = 200
# A poster at 200 dpi would be a thousand megapixels.
MAX_OCR_SIDE = 4400

# Left, top, right, bottom in points, origin at the bottom.
Corners: TypeAlias = tuple[float, float, float, float]

# A word cut by a hyphen goes on without a line break in PDFium's text; its mark of the hyphen ends our line.
_LINE = re.compile("[^\n\x02\ufffe]*[\n\x02\ufffe]|[^\n\x02\ufffe]+")


class Page:
    def __init__(self, document: pdfium.PdfDocument, index: int) -> None:
        """Raises PdfiumError where the page is broken."""
        self._page = document[index]
        self._text = self._page.get_textpage()
        self.width, self.height = self._page.get_size()

    def __enter__(self) -> "Page":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._text.close()
        self._page.close()

    def lines(self) -> Iterator[Line]:
        """In the order of the file, which is nearly always that of reading."""
        for start, text in self._texts():
            if not (stripped := text.strip()):
                continue
            corners = self._corners(start, len(text))
            if corners:
                letter = self._letter(start + len(text) - len(text.lstrip())) or corners[0]
                # A line's height is its font's: one without a descender is no further from the next.
                box = self._shown(corners + [letter])
                yield Line(stripped, box, abs(letter[1] - letter[3]) / max(self.height, 1.0))

    def picture_share(self) -> float:
        """How much of the page its largest picture covers, from 0 to 1."""
        area = max(self.width * self.height, 1.0)
        covered = 0.0
        for item in self._page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3):
            left, bottom, right, top = item.get_bounds()
            covered = max(covered, (right - left) * (top - bottom) / area)
        return min(covered, 1.0)

    def image(self) -> Image:
        """Grey, at 200 dpi or what a poster allows."""
        scale = min(OCR_DPI / 72, MAX_OCR_SIDE / max(self.width, self.height, 1.0))
        bitmap = self._page.render(scale=scale, grayscale=True)
        image: Image = bitmap.to_pil().copy()
        bitmap.close()
        return image

    def _texts(self) -> Iterator[tuple[int, str]]:
        """Each line with the index of its first character, in PDFium's count."""
        num = raw.FPDFText_CountChars(self._text)
        if num <= 0:
            return
        buffer = (ctypes.c_ushort * (num + 1))()
        written = raw.FPDFText_GetText(self._text, 0, num, buffer) - 1
        text = bytes(buffer)[: 2 * written].decode("utf-16-le", errors="replace")
        is_straight = written == num and len(text) == num
        offset = 0
        for match in _LINE.finditer(text):
            line = match[0]
            yield offset if is_straight else raw.FPDFText_GetCharIndexFromTextIndex(self._text, offset), line
            offset += len(line) if is_straight else len(line.encode("utf-16-le", errors="replace")) // 2

    def _corners(self, start: int, num: int) -> list[Corners]:
        """The boxes of some characters, one a run of the same font."""
        left, top, right, bottom = (ctypes.c_double() for _ in range(4))
        found = []
        for index in range(raw.FPDFText_CountRects(self._text, start, num)):
            raw.FPDFText_GetRect(self._text, index, left, top, right, bottom)
            found.append((left.value, top.value, right.value, bottom.value))
        return found

    def _letter(self, index: int) -> Corners | None:
        """One character's box from its font's ascent to its descent, matrix applied: the nominal size is often 1."""
        box: Any = raw.FS_RECTF()
        if not raw.FPDFText_GetLooseCharBox(self._text, index, box):
            return None
        return box.left, box.top, box.right, box.bottom

    def _shown(self, corners: list[Corners]) -> Box:
        """Around all of these, on the page as it is shown: cropped, turned, origin top left."""
        lefts, tops, rights, bottoms = zip(*corners, strict=True)
        x0, y0 = self._fraction(min(lefts), max(tops))
        x1, y1 = self._fraction(max(rights), min(bottoms))
        return [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]

    def _fraction(self, x: float, y: float) -> tuple[float, float]:
        across, down = ctypes.c_int(), ctypes.c_int()
        raw.FPDF_PageToDevice(self._page, 0, 0, DEVICE, DEVICE, 0, x, y, across, down)
        return (
            round(min(max(across.value / DEVICE, 0.0), 1.0), 5),
            round(min(max(down.value / DEVICE, 0.0), 1.0), 5),
        )
