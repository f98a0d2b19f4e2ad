"""How fast files are read: `python -m uploads.bench [--peer PYTHON] [--runs 5]` prints the table of docs/files.md.

Makes its own files. Each is read in a fresh child, as uploads are, the kinds in turn so that a busy minute hits all of
them alike; medians. `--peer` is another environment's Python that has unstructured with its fast PDF strategy
(docs/files.md says how to make one): it reads the same PDF in the same run.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WARM = "warm.pdf"
OFFICE = "application/vnd.openxmlformats-officedocument"
PDF_PAGES, CHAPTERS, SLIDES, ROWS = 200, 60, 60, 10_000
SCANS, LINES = 5, 40
TEXTS = {
    "English": "The harbour authority approved the second phase of dredging after the survey of March and its costs. ",
    "German": "Die Behörde genehmigte größere Flächen für die Straßenbahn und prüft jährlich die Übergänge am Hafen. ",
    "Chinese": "港务局在三月的勘测之后批准了第二期疏浚工程并将每年检查一次所有的过渡区段和费用。",
}
FONTS = {
    "English": Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
    "German": Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
    "Chinese": Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
}
WIDTHS = {"English": 80, "German": 80, "Chinese": 44}

# Reads one file, and says how long that took with and without loading the libraries, and the processor's part of it.
OURS = """
import json, resource, sys, time
began = time.perf_counter()
from pathlib import Path
from uploads.document import Block, Limits, Source
from uploads.parsers import parser_for
path, media_type = Path(sys.argv[1]), sys.argv[2]
parser = parser_for(media_type)
loaded = time.perf_counter()
blocks = sum(isinstance(event, Block) for event in parser(Source(path, media_type, path.name, Limits())))
ended = time.perf_counter()
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"whole": ended - began, "reading": ended - loaded, "blocks": blocks,
                  "processor": sum(use.ru_utime + use.ru_stime for use in used),
                  "peak_mib": int(peak.split()[1]) / 1024}))
"""
# With our stand-in for its tokeniser, which makes it twice as fast; its libraries loaded by a PDF of one page.
PEER = """
import json, sys, time
from uploads.parsers.partitioning import partitioner
partition = partitioner("pdf")
partition(sys.argv[2], strategy="fast", languages=[""])
began, used = time.perf_counter(), time.process_time()
elements = partition(sys.argv[1], strategy="fast", languages=[""])
print(json.dumps({"reading": time.perf_counter() - began, "processor": time.process_time() - used,
                  "blocks": len(elements)}))
"""


@dataclass(frozen=True, slots=True)
class Case:
    title: str
    path: Path
    media_type: str
    pages: int = 0  # where speed is told in pages


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m uploads.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, help="the Python of an environment with unstructured's PDF parts")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(
        f"{processor_name()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        cases = make_files(Path(folder))
        ours: dict[str, list[dict[str, float]]] = {case.title: [] for case in cases}
        peers: list[dict[str, float]] = []
        for _ in range(options.runs):
            for case in cases:
                ours[case.title].append(run(Path(sys.executable), OURS, str(case.path), case.media_type))
            if options.peer:
                peers.append(run(options.peer, PEER, str(cases[0].path), str(Path(folder) / WARM)))
    show(cases, ours, peers)


def run(python: Path, program: str, *arguments: str) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "1"}
    argv = [str(python), "-c", program, *arguments]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{python} failed:\n{done.stderr[-1500:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def show(cases: list[Case], ours: dict[str, list[dict[str, float]]], peers: list[dict[str, float]]) -> None:
    print("\n| file | wall s, libraries loaded anew | processor s | pages/s | pages/s of one core | peak MiB |")
    print("|---|---|---|---|---|---|")
    for case in cases:
        middle = {name: statistics.median(run[name] for run in ours[case.title]) for name in ours[case.title][0]}
        speeds = [f"{case.pages / middle[name]:.3g}" if case.pages else "" for name in ("reading", "processor")]
        told = [
            case.title,
            f"{middle['whole']:.2f}",
            f"{middle['processor']:.2f}",
            *speeds,
            f"{middle['peak_mib']:.0f}",
        ]
        print(f"| {' | '.join(told)} |")
    for name in ("reading", "processor") if peers else ():
        ratio = statistics.median(peer[name] / own[name] for peer, own in zip(peers, ours[cases[0].title], strict=True))
        speed = PDF_PAGES / statistics.median(peer[name] for peer in peers)
        print(f"unstructured, strategy fast, the same PDF, by {name}: {speed:.3g} pages/s; ours {ratio:.3g} times that")


def processor_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def make_files(folder: Path) -> list[Case]:
    write_pdf(folder / WARM, num_pages=1)
    makers: list[tuple[str, str, Callable[[Path], None], str, int]] = [
        (f"PDF, {PDF_PAGES} pages of text", "a.pdf", write_pdf, "application/pdf", PDF_PAGES),
        (f"docx, {CHAPTERS} chapters", "a.docx", write_document, f"{OFFICE}.wordprocessingml.document", 0),
        (f"pptx, {SLIDES} slides", "a.pptx", write_slides, f"{OFFICE}.presentationml.presentation", 0),
        (f"xlsx, {ROWS:,} rows of 8 columns", "a.xlsx", write_rows, f"{OFFICE}.spreadsheetml.sheet", 0),
    ]
    for language in TEXTS:
        title = f"OCR, {language}, {SCANS} pages of {LINES} lines"
        makers.append((title, f"{language}.tiff", lambda path: write_scans(path, path.stem), "image/tiff", SCANS))
    cases = []
    for title, name, write, media_type, pages in makers:
        write(folder / name)
        cases.append(Case(title, folder / name, media_type, pages))
    return cases


def write_pdf(path: Path, num_pages: int = PDF_PAGES) -> None:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

    styles, story = getSampleStyleSheet(), []
    for page in range(num_pages):
        story.append(Paragraph(f"Chapter {page + 1}", styles["Heading1"]))
        story += [Paragraph(TEXTS["English"] * 5, styles["BodyText"]) for _ in range(7)]
        story.append(PageBreak())
    SimpleDocTemplate(str(path)).build(story)


def write_document(path: Path) -> None:
    from docx import Document

    document = Document()
    for chapter in range(CHAPTERS):
        document.add_heading(f"Chapter {chapter + 1}", 1)
        for _ in range(8):
            document.add_paragraph(TEXTS["German"] * 4)
        table = document.add_table(4, 3)
        for index, cell in enumerate(cell for row in table.rows for cell in row.cells):
            cell.text = f"cell {index}"
    document.save(str(path))


def write_slides(path: Path) -> None:
    from pptx import Presentation

    deck: Any = Presentation()
    for number in range(SLIDES):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number + 1}"
        slide.placeholders[1].text = "\n".join([TEXTS["English"]] * 5)
        slide.notes_slide.notes_text_frame.text = TEXTS["German"]
    deck.save(str(path))


def write_rows(path: Path) -> None:
    import datetime

    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Costs")
    sheet.append(["Item", "Place", "Due", "Plan", "Real", "Share", "Paid", "Remark"])
    for row in range(ROWS):
        due = datetime.date(2024, 1, 1) + datetime.timedelta(days=row % 365)
        sheet.append([f"Item {row}", "Mole", due, row * 10, row * 1.1, row / ROWS, row % 2 == 0, f"Remark on {row}"])
    book.save(path)


def write_scans(path: Path, language: str) -> None:
    """Pages of A4 at 200 dpi, as a scanner makes one file of them."""
    from PIL import Image, ImageDraw, ImageFont

    font, width = ImageFont.truetype(str(FONTS[language]), 28), WIDTHS[language]
    text = TEXTS[language] * LINES
    pages = []
    for page in range(SCANS):
        image = Image.new("L", (1654, 2339), 255)
        draw = ImageDraw.Draw(image)
        for line in range(LINES):
            begin = line * width + 7 * page
            draw.text((150, 140 + 52 * line), text[begin : begin + width], font=font, fill=0)
        pages.append(image)
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_lzw")


if __name__ == "__main__":
    main()
