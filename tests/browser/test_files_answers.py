"""From a file to an answer whose marks open it at the exact place, in the real site with its real parsers."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from chatapp.endpoints.models import Endpoint
from tests.browser.chat import Chat
from tests.browser.files import NamedFile, Tray, docx_file, pdf_file, png_file, pptx_file, text_file, xlsx_file
from tests.browser.site import Site
from tests.browser.written_endpoint import WrittenEndpoint

LEATHER = "The lead line is marked at two fathoms with two strips of leather."
BELL = "The tower has a bell of bronze, which is rung in fog every two minutes."
FISH = "Fish is sold on Fridays, and only before noon."
QUESTION = "How is the line marked?"
ROWS = [["item", "fathoms", "price"], *[[f"line {number}", number * 10, number * 3.5] for number in range(1, 9)]]

FILES: dict[str, Callable[[Browser], NamedFile]] = {
    "page": lambda browser: pdf_file(browser, "log.pdf", LEATHER, BELL, FISH),
    "paragraph": lambda browser: docx_file("rules.docx", LEATHER, BELL, FISH),
    "slide": lambda browser: pptx_file("talk.pptx", LEATHER, BELL, FISH),
    "lines": lambda browser: text_file("notes.txt", f"{LEATHER}\n\n{BELL}\n\n{FISH}\n"),
    "region": lambda browser: png_file(browser, "letter.png", LEATHER, BELL, FISH),
    "cells": lambda browser: xlsx_file("costs.xlsx", "Costs", ROWS),
}
PANEL = "[data-panel]"


@pytest.fixture
def tray(chat: Chat, page: Page, reading: Site) -> Tray:
    return Tray(page)


def _ask_about(tray: Tray, chat: Chat, file: NamedFile) -> None:
    tray.choose(file)
    expect(tray.chip(file["name"])).to_have_attribute("data-state", "ready", timeout=40_000)
    chat.ask(QUESTION)
    chat.wait_for_end()


@pytest.mark.parametrize("kind", FILES)
def test_mark_opens_its_source_at_the_place(
    kind: str, tray: Tray, chat: Chat, browser: Browser, endpoint: WrittenEndpoint
) -> None:
    endpoint.answers[QUESTION] = "With leather [1]."
    file = FILES[kind](browser)
    _ask_about(tray, chat, file)
    chat.wait_for_check()
    chat.text().get_by_role("button", name="Source 1").click()
    panel = chat.page.locator(PANEL)
    expect(panel.get_by_role("heading", name=file["name"])).to_be_visible()
    expect(panel.locator("[data-source]")).to_have_attribute("data-source-kind", kind)
    place = panel.locator(".place" if kind in ("page", "region") else ".source__hit").first
    expect(place).to_be_in_viewport()
    if kind == "page":
        expect(panel.locator(".pdf__page[data-page='1']")).to_have_attribute("data-drawn", "")
        words = panel.locator(".pdf__page[data-page='1'] .pdf__text").get_by_text("two strips of leather")
        marked, written = place.bounding_box(), words.bounding_box()
        assert marked and written
        assert (
            marked["y"] - 4 <= written["y"] and written["y"] + written["height"] <= marked["y"] + marked["height"] + 4
        )
    elif kind == "region":
        expect(panel.locator("img")).to_have_js_property("complete", True)
        picture, marked = panel.locator("img").bounding_box(), place.bounding_box()
        assert picture and marked and picture["width"] > 300
        assert picture["y"] < marked["y"] < picture["y"] + picture["height"] / 2, "the first line is at the top"
        assert marked["width"] > picture["width"] / 2
    elif kind == "cells":
        expect(panel.locator(".source__hit").filter(has_text="line 3")).to_be_visible()
        expect(panel.locator("thead th").first).to_have_text("Aitem")
    else:
        expect(place).to_contain_text("two strips of leather")
    chat.page.screenshot(path=f"var/screenshots/source-{kind}.png")


def test_marks_follow_their_first_use_and_the_list_below_follows_them(
    tray: Tray, chat: Chat, browser: Browser, endpoint: WrittenEndpoint
) -> None:
    endpoint.answers[QUESTION] = "A bell [2]. Leather [1], and again the bell [2]; this is no source [77].\n\n`x[1]`"
    _ask_about(tray, chat, pdf_file(browser, "log.pdf", LEATHER, BELL, FISH))
    marks = chat.text().locator("button.mark")
    expect(marks).to_have_text(["1", "2", "1"])
    expect(marks.first).to_have_attribute("aria-label", "Source 1: log.pdf, page 2")
    expect(chat.text()).to_contain_text("no source [77]")
    expect(chat.text().locator("code")).to_have_text("x[1]")
    chat.answers.last.locator("[data-sources-list] summary").click()
    rows = chat.answers.last.locator("[data-cited] [data-number]")
    expect(rows.locator("[data-shown-number]")).to_have_text(["1", "2"])
    expect(rows.first).to_contain_text("bell of bronze")
    chat.page.reload()
    expect(chat.text().locator("button.mark")).to_have_text(["1", "2", "1"])


def test_sentences_that_their_sources_do_not_support_are_underlined(
    tray: Tray, chat: Chat, browser: Browser, endpoint: WrittenEndpoint
) -> None:
    endpoint.answers[QUESTION] = "Fish is sold **on Fridays** [3]. The line is marked at **five** fathoms [1]."
    _ask_about(tray, chat, pdf_file(browser, "log.pdf", LEATHER, BELL, FISH))
    doubts = chat.text().locator(".doubt")
    wrong = ["The line is marked at ", "five", " fathoms"]  # around the emphasis
    expect(doubts).to_have_text(wrong, timeout=20_000)
    expect(chat.answers.last.locator("[data-doubts]")).to_contain_text("1 sentence is underlined")
    chat.page.reload()
    expect(chat.text().locator(".doubt")).to_have_text(wrong)


def test_what_was_read_is_open_where_the_answer_cites_nothing(
    tray: Tray, chat: Chat, browser: Browser, endpoint: WrittenEndpoint
) -> None:
    endpoint.answers[QUESTION] = "I do not know."
    long = "\n\n".join(f"{number}. {BELL} {FISH}" for number in range(2000))
    _ask_about(tray, chat, text_file("long.txt", f"{LEATHER}\n\n{long}"))
    rows = chat.answers.last.locator("[data-uncited] [data-number]")
    expect(rows.filter(has_text="two strips of leather")).to_be_visible()
    rows.filter(has_text="two strips of leather").get_by_role("button").click()
    expect(chat.page.locator(PANEL).locator(".source__hit").first).to_be_in_viewport()


def test_panel_is_left_by_escape_and_gives_the_focus_back(
    tray: Tray, chat: Chat, page: Page, endpoint: WrittenEndpoint
) -> None:
    endpoint.answers[QUESTION] = "With leather [1]."
    _ask_about(tray, chat, text_file("notes.txt", LEATHER))
    chat.wait_for_check()
    mark = chat.text().get_by_role("button", name="Source 1")
    mark.focus()
    page.keyboard.press("Enter")
    panel = page.locator(PANEL)
    expect(panel.get_by_role("heading", name="notes.txt")).to_be_focused()
    before = panel.bounding_box()
    panel.get_by_role("separator", name="Width of the panel").press("ArrowLeft")
    after = panel.bounding_box()
    assert before and after and after["width"] > before["width"]
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(mark).to_be_focused()
    page.reload()
    chat.text().get_by_role("button", name="Source 1").click()
    expect(panel).to_be_visible()
    again = panel.bounding_box()
    assert again and abs(again["width"] - after["width"]) < 2


def test_panel_is_a_sheet_on_a_phone(tray: Tray, chat: Chat, page: Page, endpoint: WrittenEndpoint) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    endpoint.answers[QUESTION] = "With leather [1]."
    _ask_about(tray, chat, text_file("notes.txt", LEATHER))
    chat.wait_for_check()
    chat.text().get_by_role("button", name="Source 1").click()
    sheet = page.get_by_role("dialog", name="Source")
    expect(sheet.locator(".source__hit")).to_be_visible()
    box = sheet.bounding_box()
    assert box and box["width"] == 390 and round(box["height"]) == 844
    assert page.locator("[data-stage]").evaluate("stage => stage.inert") is True
    sheet.get_by_role("button", name="Close").click()
    expect(page.locator(PANEL)).to_be_hidden()
    assert page.locator("[data-stage]").evaluate("stage => stage.inert") is False


def test_file_of_a_question_opens_beside_it(tray: Tray, chat: Chat, page: Page, browser: Browser) -> None:
    _ask_about(tray, chat, pdf_file(browser, "log.pdf", LEATHER, BELL))
    chat.questions.last.get_by_role("button", name="log.pdf").click()
    panel = page.locator(PANEL)
    expect(panel.locator(".pdf__page")).to_have_count(2)
    expect(panel.locator(".pdf__page").first).to_have_attribute("data-drawn", "")
    expect(panel.locator(".place")).to_have_count(0)


def test_meter_says_before_sending_how_much_will_be_read(tray: Tray, chat: Chat, page: Page, model: Endpoint) -> None:
    meter = page.locator("[data-fit]")
    tray.choose(text_file("short.txt", LEATHER))
    expect(meter).to_contain_text("tokens", timeout=40_000)
    expect(meter.get_by_role("switch", name="Read all of it")).to_be_hidden()
    tray.choose(text_file("long.txt", "\n\n".join(f"{number}. {BELL} {FISH}" for number in range(2000))))
    expect(meter).to_contain_text("will be read", timeout=40_000)
    switch = meter.get_by_role("switch", name="Read all of it")
    expect(switch).to_be_visible()
    switch.check()
    tray.chip("long.txt").get_by_role("button", name="Remove: long.txt").click()
    expect(switch).to_be_hidden()
    tray.chip("short.txt").get_by_role("button", name="Remove: short.txt").click()
    expect(meter).to_be_hidden()
