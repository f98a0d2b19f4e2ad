"""Files in a browser's hands: made by real programs, chosen, dropped and pasted; and what the page sends of them."""

import io
import json
import os
from collections.abc import Sequence
from typing import Any, TypedDict

import docx
import openpyxl
import pptx
from playwright.sync_api import Browser, Locator, Page, WebSocket

PARAGRAPH = (
    "The lead line is marked at two fathoms with two strips of leather, at three with three. 测深锤的绳长二百寻。"
)


class NamedFile(TypedDict):
    """What Playwright's set_input_files takes."""

    name: str
    mimeType: str
    buffer: bytes


def text_file(name: str, text: str = PARAGRAPH) -> NamedFile:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


def bytes_file(name: str, size: int) -> NamedFile:
    """Text that nothing packs: `size` bytes of numbered lines."""
    lines = b"".join(b"%07d soundings of the harbour\n" % number for number in range(size // 34 + 1))
    return {"name": name, "mimeType": "text/plain", "buffer": lines[:size]}


def print_pdf(browser: Browser, num_pages: int) -> bytes:
    """A PDF with text, printed by Chromium: a heading, a paragraph and small print that nothing packs a page."""
    page = browser.new_page()
    sheets = "".join(
        f"<section style='break-after: page'><h1>Chapter {number}</h1><p>{PARAGRAPH}</p>"
        f"<p style='font-size: 5px; word-break: break-all'>{os.urandom(4096).hex()}</p></section>"
        for number in range(1, num_pages + 1)
    )
    page.set_content(f"<body style='font: 16px serif'>{sheets}</body>")
    printed = page.pdf(format="A4")
    page.close()
    return printed


def pdf_file(browser: Browser, name: str, *pages: str) -> NamedFile:
    """A PDF of these texts, one a page, printed by Chromium."""
    page = browser.new_page()
    sheets = "".join(f"<section style='break-after: page'><p>{text}</p></section>" for text in pages)
    page.set_content(f"<body style='font: 16px serif'>{sheets}</body>")
    printed = page.pdf(format="A4", margin={"top": "40mm", "left": "25mm", "right": "25mm"})
    page.close()
    return {"name": name, "mimeType": "application/pdf", "buffer": printed}


def png_file(browser: Browser, name: str, *lines: str) -> NamedFile:
    """A picture of these lines, as of a printed page."""
    page = browser.new_page(viewport={"width": 1100, "height": 700})
    page.set_content(f"<body style='font: 28px serif; margin: 60px'>{''.join(f'<p>{line}</p>' for line in lines)}")
    picture = page.screenshot()
    page.close()
    return {"name": name, "mimeType": "image/png", "buffer": picture}


def docx_file(name: str, *paragraphs: str) -> NamedFile:
    document = docx.Document()
    document.add_heading("Harbour rules", 1)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    return {"name": name, "mimeType": "", "buffer": _saved(document)}


def pptx_file(name: str, *slides: str) -> NamedFile:
    deck = pptx.Presentation()
    for number, text in enumerate(slides, start=1):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Part {number}"
        slide.placeholders[1].text = text
    return {"name": name, "mimeType": "", "buffer": _saved(deck)}


def xlsx_file(name: str, sheet: str, rows: Sequence[Sequence[object]]) -> NamedFile:
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(list(row))
    return {"name": name, "mimeType": "", "buffer": _saved(book)}


def _saved(document: Any) -> bytes:
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


class Tray:
    """The files beside the question."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.chips = page.locator("[data-composer] [data-chip]")

    def choose(self, *files: NamedFile) -> None:
        self.page.locator("[data-composer] [data-file-input]").set_input_files(list(files))

    def chip(self, name: str) -> Locator:
        return self.page.locator("[data-chip]").filter(has_text=name)

    def drop(self, target: str, *files: NamedFile) -> None:
        """The events of a drag from the desktop, with a real DataTransfer."""
        data = self._data(*files)
        for event in ("dragenter", "dragover", "drop"):
            self.page.dispatch_event(target, event, {"dataTransfer": data})

    def drag_over(self, target: str) -> None:
        self.page.dispatch_event(target, "dragenter", {"dataTransfer": self._data(text_file("held.txt"))})

    def drag_away(self, target: str) -> None:
        self.page.dispatch_event(target, "dragleave", {"dataTransfer": self._data(text_file("held.txt"))})

    def paste_text(self, text: str) -> None:
        self._paste("(data, text) => data.setData('text/plain', text)", text)

    def paste_picture(self, png: bytes) -> None:
        add = "(data, bytes) => data.items.add(new File([new Uint8Array(bytes)], 'image.png', { type: 'image/png' }))"
        self._paste(add, list(png))

    def _paste(self, fill: str, value: object) -> None:
        self.page.evaluate(
            f"""value => {{
                const clipboardData = new DataTransfer()
                const fill = {fill}
                fill(clipboardData, value)
                const event = new ClipboardEvent("paste", {{ clipboardData, bubbles: true, cancelable: true }})
                document.querySelector("[data-text]").dispatchEvent(event)
            }}""",
            value,
        )

    def _data(self, *files: NamedFile) -> Any:
        return self.page.evaluate_handle(
            """files => {
                const data = new DataTransfer()
                for (const { name, mimeType, text } of files) data.items.add(new File([text], name, { type: mimeType }))
                return data
            }""",
            [
                {"name": file["name"], "mimeType": file["mimeType"], "text": file["buffer"].decode("utf-8")}
                for file in files
            ],
        )


class Line:
    """The way from the page to the site: slow, cut, and whole again."""

    def __init__(self, page: Page) -> None:
        self._client = page.context.new_cdp_session(page)
        self._client.send("Network.enable")

    def slow_down(self, bytes_per_s: int) -> None:
        self._set(False, bytes_per_s)

    def cut(self) -> None:
        self._set(True, -1)

    def mend(self) -> None:
        self._set(False, -1)

    def _set(self, is_cut: bool, upload: int) -> None:
        conditions = {"offline": is_cut, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload}
        self._client.send("Network.emulateNetworkConditions", conditions)


class SentFrames:
    """The frames that a page sends through its websocket, from the next time it is opened."""

    def __init__(self, page: Page) -> None:
        self.frames: list[dict[str, Any]] = []
        page.on("websocket", self._listen)

    def of(self, type: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == type]

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framesent", lambda payload: self.frames.append(json.loads(payload)))
