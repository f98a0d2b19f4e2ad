"""PDF: text with boxes where a page has text, OCR where it is a picture. One page at a time.

Not through unstructured: its fast strategy does 21 pages/s on two cores and finds no boxes of lines
(docs/files.md); its others need torchvision and models from a hub.
"""

import re
from collections import Counter
from collections.abc import Iterator

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from uploads.document import Block, Event, Progress, Source, Started, Unparsable, Unreadable
from uploads.parsers.layout import Line, Paragraph, paragraphs
from uploads.parsers.outline import Outline
from uploads.parsers.pdf_page import Page
from uploads.parsers.reading import Reader, is_blank, reader_for
from uploads.parsers.too_slow import TooSlow
from uploads.place import Place

# Fewer letters than this, and a page that is not blank is read as a picture.
FEW_LETTERS = 16
# A scan under a stamped header line: some text, and a picture over most of the page.
STAMPED_LETTERS = 300
SCAN_SHARE = 0.6
# More characters without meaning than this: the fonts say nothing of their letters.
UNMAPPED_SHARE = 0.3
HEADING_RATIO = 1.15
HEADING_CHARACTERS = 200
SAMPLE_PAGES = 8

_UNMAPPED = re.compile("[\x00-\x08\x0e-\x1f\ufffd\ue000-\uf8ff]")


def parse(source: Source) -> Iterator[Event]:
    document = _opened(source)
    try:
        num_pages = len(document)
        if num_pages > source.limits.max_pages:
            raise Unparsable("too_many_pages")
        yield Started("page", num_pages)
        reader = _Reader(source, _body_size(document))
        for index in range(num_pages):
            yield from reader.read(document, index)
            yield Progress(index + 1)
    finally:
        document.close()


def _opened(source: Source) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(source.path)
    except pdfium.PdfiumError as error:
        needs_password = error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)
        raise Unparsable("encrypted" if needs_password else "broken") from error


def _body_size(document: pdfium.PdfDocument) -> float:
    """The size most characters have, on some pages from all over the file."""
    sizes: Counter[float] = Counter()
    step = max(1, len(document) // SAMPLE_PAGES)
    for index in range(0, len(document), step):
        try:
            with Page(document, index) as page:
                for line in page.lines():
                    sizes[round(line.size * page.height, 1)] += len(line.text)
        except pdfium.PdfiumError:
            continue
    return sizes.most_common(1)[0][0] if sizes else 0.0


class _Reader:
    """What is kept from page to page: the headings, the size of plain text, the OCR engine once it is needed."""

    def __init__(self, source: Source, body_size: float) -> None:
        self._limits = source.limits
        self._body_size = body_size
        self._outline = Outline()
        self._ocr: Reader | None = None

    def read(self, document: pdfium.PdfDocument, index: int) -> Iterator[Event]:
        try:
            with Page(document, index) as page:
                lines = list(page.lines())
                if _lacks_text(page, lines):
                    yield from self._recognised(page, index + 1, lines)
                else:
                    yield from self._blocks(page, index + 1, lines)
        except pdfium.PdfiumError:
            yield Unreadable(index + 1, "broken")

    def _blocks(self, page: Page, number: int, lines: list[Line]) -> Iterator[Block]:
        for paragraph in paragraphs(lines):
            text = paragraph.text
            above = self._outline.path
            is_heading = self._is_heading(page, paragraph, text)
            if is_heading:
                above = self._outline.enter(-round(paragraph.size * page.height), text)
            place: Place = {"kind": "page", "page": number, "boxes": [paragraph.box]}
            yield Block("heading" if is_heading else "text", text, place, above)

    def _is_heading(self, page: Page, paragraph: Paragraph, text: str) -> bool:
        is_large = paragraph.size * page.height > self._body_size * HEADING_RATIO
        return is_large and len(text) <= HEADING_CHARACTERS and any(character.isalpha() for character in text)

    def _recognised(self, page: Page, number: int, lines: list[Line]) -> Iterator[Event]:
        image = page.image()
        if is_blank(image):
            yield from self._blocks(page, number, lines)
            return
        self._ocr = self._ocr or reader_for(self._limits)
        try:
            found = self._ocr.read(image)
        except TooSlow:
            yield Unreadable(number, "timeout")
            yield from self._blocks(page, number, lines)
            return
        if sum(len(paragraph.text) for paragraph in found) < _num_letters(lines):
            yield from self._blocks(page, number, lines)
            return
        for paragraph in found:
            place: Place = {"kind": "page", "page": number, "boxes": [paragraph.box]}
            yield Block("ocr", paragraph.text, place, self._outline.path)


def _lacks_text(page: Page, lines: list[Line]) -> bool:
    num = _num_letters(lines)
    if num < FEW_LETTERS:
        return True
    unmapped = sum(len(_UNMAPPED.findall(line.text)) for line in lines)
    if unmapped > UNMAPPED_SHARE * sum(len(line.text) for line in lines):
        return True
    return num < STAMPED_LETTERS and page.picture_share() > SCAN_SHARE


def _num_letters(lines: list[Line]) -> int:
    return sum(character.isalnum() for line in lines for character in line.text)
