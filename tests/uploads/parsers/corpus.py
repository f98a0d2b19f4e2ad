"""Writes the corpus. The texts say where they stand, so that a test can ask for them by words."""

import datetime
import textwrap
from pathlib import Path

import docx
import openpyxl
from docx.document import Document
from openpyxl.worksheet.worksheet import Worksheet
from PIL import Image, ImageDraw, ImageFont
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

from tests.uploads.parsers import office

FONTS = Path("/usr/share/fonts")
LATIN_FONT = FONTS / "truetype/dejavu/DejaVuSans.ttf"
CHINESE_FONT = FONTS / "opentype/noto/NotoSansCJK-Regular.ttc"

ENGLISH = "The harbour authority approved the second phase of dredging after the survey of March."
GERMAN = "Die Behörde genehmigte größere Flächen für die Straßenbahn und prüft jährlich die Übergänge."
CHINESE = "港务局在三月的勘测之后批准了第二期工程并将每年检查一次所有的过渡区段。"


def write_all(folder: Path) -> None:
    write_report(folder / "report.docx")
    write_deck(folder / "deck.pptx")
    write_costs(folder / "costs.xlsx")
    write_pdf(folder / "report.pdf")
    write_picture(folder / "english.png", ENGLISH)
    write_picture(folder / "german.png", GERMAN)
    write_picture(folder / "chinese.png", CHINESE, CHINESE_FONT)
    write_mixed_picture(folder / "mixed.png")


def save_all(written: Path, folder: Path) -> None:
    for form in ("odt", "doc", "rtf", "epub", "pdf"):
        office.convert([written / "report.docx"], form, folder)
    office.convert([folder / "report.odt"], "docx", folder)
    for form in ("odp", "ppt"):
        office.convert([written / "deck.pptx"], form, folder)
    office.convert([folder / "deck.odp"], "pptx", folder)
    for form in ("ods", "xls"):
        office.convert([written / "costs.xlsx"], form, folder)
    office.convert([folder / "costs.ods"], "xlsx", folder)


def write_report(path: Path) -> None:
    report = docx.Document()
    report.add_heading("Harbour report", 0)
    for chapter in (1, 2):
        report.add_heading(f"Chapter {chapter}", 1)
        report.add_paragraph(f"Chapter {chapter} opens with a word on the tides.")
        for section in (1, 2):
            report.add_heading(f"Section {chapter}.{section}", 2)
            report.add_paragraph(f"Section {chapter}.{section} is about größere Flächen and 疏浚工程.")
            report.add_paragraph(f"Point of section {chapter}.{section}", style="List Bullet")
    add_table(report, [["Mole", "Length"], ["North", "410 m"], ["South", "380 m"]])
    report.add_paragraph("After the table.")
    report.save(str(path))


def add_table(report: Document, rows: list[list[str]]) -> None:
    table = report.add_table(len(rows), len(rows[0]))
    for row, cells in zip(table.rows, rows, strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text


def write_deck(path: Path) -> None:
    deck = Presentation()
    for number in (1, 2, 3):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = f"Title of slide {number}"
        low = slide.shapes.add_textbox(Inches(1), Inches(6), Inches(6), Inches(1))
        low.text_frame.text = f"Low on slide {number}"
        high = slide.shapes.add_textbox(Inches(1), Inches(2), Inches(6), Inches(1))
        high.text_frame.text = f"High on slide {number}"
        slide.notes_slide.notes_text_frame.text = f"Said on slide {number}"
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    table = slide.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(5), Inches(1)).table
    for index, text in enumerate(["Mole", "Length", "North", "410 m"]):
        table.cell(index // 2, index % 2).text = text
    numbers = CategoryChartData()
    numbers.categories = ["2023", "2024"]
    numbers.add_series("Ships", (1200, 1350.5))
    slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(3), Inches(5), Inches(3), numbers)
    deck.save(str(path))


def write_costs(path: Path) -> None:
    """Sheet Costs: a title, a header of two rows with merged years, 100 rows; then a gap and a small table.

    Sheet Notes: a table that begins at C5.
    """
    book = openpyxl.Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = "Costs"
    sheet.append(["Costs of the harbour"])
    sheet.append(["Item", 2023, None, 2024, None, "Share", "Due"])
    sheet.append([None, "Plan", "Real", "Plan", "Real"])
    sheet.merge_cells("B2:C2")
    sheet.merge_cells("D2:E2")
    for item in range(1, 101):
        due = datetime.date(2024, 1, 1) + datetime.timedelta(days=item)
        sheet.append([f"Item {item}", item * 10, item * 1.1, item * 20, item % 2 == 0, item / 400, due])
        sheet.cell(sheet.max_row, 6).number_format = "0.00%"
    sheet["B106"], sheet["C106"] = "Mole", "Length"
    sheet["B107"], sheet["C107"] = "North", 410
    notes = book.create_sheet("Notes")
    notes["C5"], notes["D5"] = "Name", "Phone"
    notes["C6"], notes["D6"] = "Anna Schäfer", "港 4711"
    book.save(path)


def write_pdf(path: Path) -> None:
    """Three chapters of two pages."""
    styles = getSampleStyleSheet()
    story: list[object] = []
    for chapter in (1, 2, 3):
        story.append(Paragraph(f"Chapter {chapter}", styles["Heading1"]))
        for page in (1, 2):
            story.append(Paragraph(f"Part {chapter}.{page}", styles["Heading2"]))
            story.append(Paragraph(f"{ENGLISH} This is part {chapter}.{page}. {GERMAN}", styles["BodyText"]))
            story.append(Paragraph(f"A second paragraph of part {chapter}.{page}. " + ENGLISH, styles["BodyText"]))
            story.append(PageBreak())
    SimpleDocTemplate(str(path), pagesize=A4).build(story)  # type: ignore[arg-type]


def write_marked_pdf(path: Path, turn: int = 0) -> None:
    """Three paragraphs of two lines, the second in red; the page is shown turned."""
    canvas = Canvas(str(path), pagesize=A4)
    canvas.setPageRotation(turn)
    for index, colour in enumerate(["black", "red", "black"]):
        canvas.setFillColor(colour)
        for line in (0, 1):
            canvas.drawString(90, 500 - 60 * index - 14 * line, f"Line {line} of the {colour} paragraph number {index}")
    canvas.save()


def page_image(lines: list[str], font: Path = LATIN_FONT, size: int = 30, pitch: int = 52) -> Image.Image:
    """A page of A4 at 200 dpi."""
    image = Image.new("L", (1654, 2339), 255)
    draw = ImageDraw.Draw(image)
    face = ImageFont.truetype(str(font), size)
    for index, line in enumerate(lines):
        draw.text((150, 200 + index * pitch), line, font=face, fill=0)
    return image


def write_picture(path: Path, text: str, font: Path = LATIN_FONT) -> None:
    page_image(textwrap.wrap(text, 60), font).save(path)


def write_mixed_picture(path: Path) -> None:
    """English, German and Chinese paragraphs on one page."""
    image = page_image([*textwrap.wrap(ENGLISH, 60), "", "", *textwrap.wrap(GERMAN, 60)])
    chinese = page_image([CHINESE], CHINESE_FONT)
    image.paste(chinese.crop((0, 190, 1654, 260)), (0, 900))
    image.save(path)
