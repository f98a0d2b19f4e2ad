"""Sources on the page: marks while an answer grows, sentences in doubt, and a PDF drawn at its place."""

import re

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.browser.chat import Chat
from tests.browser.files import Tray, print_pdf

ANSWER = "The line was marked at two fathoms [3]. It was long [7][3], as `list[3]` says.\n\n- a list [1]\n- none [2]\n"
SOURCES = [
    [number, {"number": number, "evidence": f"e{number}", "name": "log.pdf", "words": ""}] for number in (1, 3, 7)
]

OPEN_PDF = """async ([url, page, boxes]) => {
    const { PdfView } = await import("/static/js/controllers/pdf_view.js")
    const panel = document.querySelector("[data-panel]")
    const body = panel.querySelector("[data-panel-body]")
    const stage = document.createElement("div")
    stage.className = "pdf"
    panel.hidden = false
    document.querySelector("[data-chat]").classList.add("chat--panel")
    body.replaceChildren(stage)
    window.view = await PdfView.open(stage, body, url)
    window.view.show(page, boxes)
}"""


@pytest.fixture
def content_url(chat: Chat, browser: Browser) -> str:
    """Where the bytes of an uploaded PDF of forty pages are."""
    tray = Tray(chat.page)
    tray.choose({"name": "log.pdf", "mimeType": "application/pdf", "buffer": print_pdf(browser, 40)})
    chip = tray.chip("log.pdf")
    expect(chip).to_have_attribute("data-state", re.compile("queued|parsing|ready"))
    ids = chat.page.evaluate(
        "() => Object.keys(localStorage).filter(key => key.startsWith('sonde:files:'))"
        ".flatMap(key => JSON.parse(localStorage[key]).map(({ id }) => id))"
    )
    return f"/files/{ids[-1]}/content"


def test_marks_grow_without_flicker_and_are_numbered_by_first_use(chat: Chat) -> None:
    seen = chat.page.evaluate(
        """async ([text, sources]) => {
            const { MarkdownView } = await import("/static/js/helpers/markdown.js")
            const element = document.createElement("div")
            document.body.append(element)
            const view = new MarkdownView(element)
            view.sources = new Map(sources)
            const frame = () => new Promise(requestAnimationFrame)
            const flickers = []
            for (let at = 1; at <= text.length; at++) {
                view.update(text.slice(0, at), at < text.length)
                await frame()
                await frame()
                const prose = [...element.childNodes].map(node => node.textContent).join("")
                if (/\\[\\d*$|\\[[137]\\]/.test(prose.replaceAll("list[3]", ""))) flickers.push(prose)
            }
            const marks = [...element.querySelectorAll("button.mark")]
            return { flickers, marks: marks.map(mark => [mark.textContent, mark.dataset.evidence, mark.ariaLabel]) }
        }""",
        [ANSWER, SOURCES],
    )
    assert [flicker for flicker in seen["flickers"] if "list[3" not in flicker] == []
    assert [(number, evidence) for number, evidence, _label in seen["marks"]] == [
        ("1", "e3"),
        ("2", "e7"),
        ("1", "e3"),
        ("3", "e1"),
    ]
    assert seen["marks"][0][2] == "Source 1: log.pdf"


def test_sentences_in_doubt_are_underlined_and_no_others(chat: Chat) -> None:
    text = "It is **deep**, they say [1]. The line is \\(x^2\\) fathoms long, or more [1]. Nobody knows."
    checks = []
    for sentence, verdict in (
        ("It is **deep**, they say [1].", "supported"),
        ("The line is \\(x^2\\) fathoms long, or more [1].", "partly"),
        ("Nobody knows.", "not_found"),
    ):
        checks.append({"start": text.index(sentence), "end": text.index(sentence) + len(sentence), "verdict": verdict})
    shown = chat.page.evaluate(
        """async ([text, checks, sources]) => {
            const { MarkdownView } = await import("/static/js/helpers/markdown.js")
            const { showDoubts } = await import("/static/js/controllers/doubts.js")
            const element = document.createElement("div")
            document.body.append(element)
            const view = new MarkdownView(element)
            view.sources = new Map(sources)
            view.render(text)
            while (!element.querySelector(".katex")) await new Promise(requestAnimationFrame)
            const counts = [showDoubts(element, text, checks), showDoubts(element, text, checks)]
            const all = verdict => [...element.querySelectorAll(`.doubt--${verdict}`)]
            const words = verdict => all(verdict).map(node => node.textContent.trim())
            return { counts, partly: words("partly"), missing: words("missing"), text: element.textContent }
        }""",
        [text, checks, SOURCES],
    )
    assert shown["counts"] == [2, 2]
    assert shown["partly"] == ["The line is", "fathoms long, or more"]
    assert shown["missing"] == ["Nobody knows"]


def test_pdf_is_drawn_at_its_page_by_parts_with_its_place_marked(chat: Chat, page: Page, content_url: str) -> None:
    answers: list[Response] = []
    page.on("response", lambda response: answers.append(response) if "/content" in response.url else None)
    page.evaluate(OPEN_PDF, [content_url, 30, [[0, 0, 1, 0.1]]])
    sheet = page.locator(".pdf__page[data-page='30']")
    expect(sheet).to_have_attribute("data-drawn", "")
    title = sheet.locator(".pdf__text").get_by_text("Chapter 30", exact=True)
    expect(title).to_be_in_viewport()
    expect(sheet.locator(".place")).to_be_in_viewport()
    assert 206 in [answer.status for answer in answers]
    expect(page.locator(".pdf__page[data-page='1'] canvas")).to_have_count(0)
    expect(page.locator(".pdf__page")).to_have_count(40)

    # The place of the heading as a parser would give it: in fractions of the page.
    box = title.evaluate(
        """title => {
            const page = title.closest(".pdf__page").getBoundingClientRect()
            const { left, top, right, bottom } = title.getBoundingClientRect()
            const across = x => (x - page.left) / page.width, down = y => (y - page.top) / page.height
            return [across(left), down(top), across(right), down(bottom)]
        }"""
    )
    page.evaluate("box => window.view.show(30, [box])", box)
    expect(sheet.locator(".place")).to_have_count(1)
    marked, written = sheet.locator(".place").bounding_box(), title.bounding_box()
    assert marked and written
    assert abs(marked["x"] - written["x"]) < 2 and abs(marked["y"] - written["y"]) < 2
    assert abs(marked["width"] - written["width"]) < 3

    page.evaluate("() => window.view.show(12, [])")
    expect(
        page.locator(".pdf__page[data-page='12'] .pdf__text").get_by_text("Chapter 12", exact=True)
    ).to_be_in_viewport()
    expect(sheet.locator(".place")).to_have_count(0)
    assert page.locator(".pdf__canvas").count() <= 8


def test_panel_is_hidden_until_something_is_opened(chat: Chat, page: Page) -> None:
    expect(page.locator("[data-panel]")).to_be_hidden()
    expect(page.get_by_role("complementary")).to_have_count(1)
