"""The page of one's own files: reached from the menu, searched, and emptied."""

import re

from playwright.sync_api import Page, expect

from tests.browser.chat import Chat
from tests.browser.files import Tray, text_file
from tests.browser.site import Site


def test_own_files_are_found_and_deleted(chat: Chat, page: Page, reading: Site) -> None:
    tray = Tray(page)
    tray.choose(
        text_file("bells.txt", "The tower has a bell of bronze."),
        text_file("a very long name of a file that says all about the harbour.txt", "The pier is 40 m long."),
    )
    expect(tray.chips.nth(0)).to_have_attribute("data-state", "ready", timeout=40_000)
    expect(tray.chips.nth(1)).to_have_attribute("data-state", "ready", timeout=40_000)
    chat.ask("What do they say?")
    chat.wait_for_end()
    page.get_by_role("button", name="Menu of Ana").click()
    page.get_by_role("menuitem", name="Files").click()
    rows = page.locator("[data-file]")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Used in: What do they say?")
    page.screenshot(path="var/screenshots/files-light.png")
    rows.filter(has_text="bells.txt").get_by_role("link", name="Ask about it").click()
    expect(tray.chip("bells.txt")).to_have_attribute("data-state", "ready")
    chat.ask("And this one alone?")
    expect(chat.questions.last.locator("[data-upload]")).to_contain_text("bells.txt")
    page.goto("/files")
    page.get_by_label("Search in your files").fill("bronze")
    page.get_by_role("button", name="Search").click()
    expect(rows).to_have_count(1)
    expect(rows.locator("q")).to_contain_text("bell of bronze")
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.locator("[data-file] summary").click()
    page.screenshot(path="var/screenshots/files-dark-390.png")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_role("button", name="Delete for good").click()
    expect(page).to_have_url(re.compile(r"/files$"))
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("harbour.txt")
