"""PDF: text, places that cover it, headings, scans."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pypdfium2 as pdfium
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tests.uploads.parsers import corpus
from tests.uploads.parsers.reading import block_with, blocks_of, read
from uploads.document import Progress, Started, Unparsable
from uploads.parsers.layout import union
from uploads.parsers.pdf_page import Page
from uploads.place import Box


def ink(image: Image.Image, is_ink: Callable[[int, int, int], bool]) -> Box:
    """Where a picture has pixels of this colour, in fractions."""
    mask = Image.new("L", image.size)
    pixels = image.convert("RGB").tobytes()
    mask.putdata([255 if is_ink(*pixel) else 0 for pixel in zip(pixels[::3], pixels[1::3], pixels[2::3], strict=True)])
    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    return [left / image.width, top / image.height, right / image.width, bottom / image.height]


def check_covers(box: Box, drawn: Box, slack: float = 0.006) -> None:
    """The box holds what was drawn and not much more."""
    for edge, real, sign in zip(box, drawn, (1, 1, -1, -1), strict=True):
        assert -slack < sign * (real - edge) < 3 * slack, f"{box} is not around {drawn}"


def is_red(red: int, green: int, blue: int) -> bool:
    return red > 150 and green < 100


def is_dark(red: int, green: int, blue: int) -> bool:
    return red < 128


def test_the_box_of_a_paragraph_is_where_it_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    corpus.write_marked_pdf(path)
    block = block_with("red", blocks_of(path))
    assert block.text == "Line 0 of the red paragraph number 1 Line 1 of the red paragraph number 1"
    assert block.place["kind"] == "page" and block.place["page"] == 1
    check_covers(block.place["boxes"][0], ink(pdfium.PdfDocument(path)[0].render(scale=1.5).to_pil(), is_red))


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_boxes_are_those_of_the_page_as_it_is_shown(turn: int, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    corpus.write_marked_pdf(path, turn)
    document = pdfium.PdfDocument(path)
    with Page(document, 0) as page:
        box = union(line.box for line in page.lines() if "red" in line.text)
    check_covers(box, ink(document[0].render(scale=1.5).to_pil(), is_red))


def test_headings_are_the_larger_lines_above(written: Path) -> None:
    blocks = blocks_of(written / "report.pdf")
    assert [block.text for block in blocks if block.kind == "heading"] == [
        title for chapter in (1, 2, 3) for title in (f"Chapter {chapter}", f"Part {chapter}.1", f"Part {chapter}.2")
    ]
    paragraph = block_with("This is part 2.2", blocks)
    assert paragraph.headings == ("Chapter 2", "Part 2.2")
    assert paragraph.text == f"{corpus.ENGLISH} This is part 2.2. {corpus.GERMAN}"
    assert paragraph.place["kind"] == "page" and paragraph.place["page"] == 4
    assert block_with("A second paragraph of part 2.2", blocks).place != paragraph.place


def test_pages_are_the_unit(written: Path) -> None:
    events = read(written / "report.pdf")
    assert events[0] == Started("page", 6)
    assert [event.done for event in events if isinstance(event, Progress)] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(Unparsable, match="too_many_pages"):
        read(written / "report.pdf", max_pages=5)


def test_what_writer_exports_is_read_the_same(saved: Path) -> None:
    blocks = blocks_of(saved / "report.pdf")
    assert block_with("Section 2.1 is about", blocks).text == "Section 2.1 is about größere Flächen and 疏浚工程."
    assert block_with("Section 2.1 is about", blocks).headings[-2:] == ("Chapter 2", "Section 2.1")


def test_two_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    canvas = Canvas(str(path))
    for column in (0, 1):
        for line in range(5):
            canvas.drawString(60 + 260 * column, 700 - 14 * line, f"column {column} line {line} of some words")
    canvas.save()
    texts = [block.text for block in blocks_of(path)]
    assert texts == [" ".join(f"column {column} line {line} of some words" for line in range(5)) for column in (0, 1)]


def test_words_cut_at_the_end_of_a_line_are_whole_again(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    canvas = Canvas(str(path))
    for line, text in enumerate(["The harbour author-", "ity weighs Vor- und Nach-", "teile of north-", "South."]):
        canvas.drawString(60, 700 - 14 * line, text)
    canvas.save()
    assert blocks_of(path)[0].text == "The harbour authority weighs Vor- und Nachteile of north-South."


@pytest.mark.usefixtures("tesseract")
def test_only_the_page_without_text_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    canvas = Canvas(str(path), pagesize=(595, 842))
    canvas.drawString(60, 700, "The first page has text of its own.")
    canvas.showPage()
    scan = corpus.page_image(textwrap.wrap(corpus.GERMAN, 60))
    canvas.drawImage(ImageReader(scan), 0, 0, 595, 842)
    canvas.showPage()
    canvas.showPage()
    canvas.drawString(60, 700, "The last page has text again.")
    canvas.save()
    blocks = blocks_of(path)
    told = [(block.kind, block.place["page"]) for block in blocks if block.place["kind"] == "page"]
    assert told == [("text", 1), ("ocr", 2), ("text", 4)]
    assert blocks[1].text == corpus.GERMAN
    assert blocks[1].place["kind"] == "page"
    check_covers(blocks[1].place["boxes"][0], ink(scan, is_dark))


@pytest.mark.usefixtures("tesseract")
def test_a_stamp_on_a_scan_does_not_hide_the_scan(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    canvas = Canvas(str(path), pagesize=(595, 842))
    scan = corpus.page_image(textwrap.wrap(corpus.ENGLISH, 60))
    canvas.drawImage(ImageReader(scan), 0, 0, 595, 842)
    canvas.drawString(60, 30, "Scanned by the office on 3 March 2024")
    canvas.save()
    assert block_with("dredging", blocks_of(path)).kind == "ocr"


def test_a_password_is_told(tmp_path: Path) -> None:
    from reportlab.lib.pdfencrypt import StandardEncryption

    path = tmp_path / "a.pdf"
    canvas = Canvas(str(path), encrypt=StandardEncryption("secret", strength=128))
    canvas.drawString(60, 700, "Nobody reads this.")
    canvas.save()
    with pytest.raises(Unparsable, match="encrypted"):
        read(path)


def test_a_pdf_that_is_none_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.7\n" + b"nothing of the kind " * 50)
    with pytest.raises(Unparsable, match="broken"):
        read(path)


def test_blank_pages_alone_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    canvas = Canvas(str(path))
    canvas.showPage()
    canvas.showPage()
    canvas.save()
    with pytest.raises(Unparsable, match="empty"):
        read(path)
