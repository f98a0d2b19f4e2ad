"""Sharing in a browser's hands: with a colleague, by a public link, as a copy."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site
from tests.browser.written_endpoint import WrittenEndpoint

ANSWER = (
    "At **noon**: \\(h = 3\\,m\\).\n\n```python\nprint('tide')\n```\n\n"
    "| port | tide |\n|---|---|\n| Old pier | noon |\n"
)


@pytest.fixture
def colleague(browser: Browser, site: Site) -> Iterator[tuple[str, BrowserContext]]:
    person = Person.new("Zoe")
    context = browser.new_context(base_url=site.url, locale="en-US", viewport={"width": 1280, "height": 800})
    context.add_cookies([person.cookie(site.url)])
    yield person.id, context
    context.close()


def open_sharing(page: Page) -> None:
    page.locator("[data-entry]").first.hover()
    page.locator(".conversation__more").first.click()
    page.get_by_role("menuitem", name="Share").click()
    expect(page.get_by_role("heading", name="Share this chat")).to_be_visible()


def test_a_chat_is_shared_read_copied_and_withdrawn(
    chat: Chat, page: Page, endpoint: WrittenEndpoint, colleague: tuple[str, BrowserContext]
) -> None:
    endpoint.answers["High tide?"] = ANSWER
    chat.ask("High tide?")
    chat.wait_for_end()
    person_id, context = colleague
    there = context.new_page()
    there.goto("/")
    expect(there.get_by_label("Your question")).to_be_visible()
    open_sharing(page)
    page.get_by_label("With whom").select_option(f"person:{person_id}")
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_text("may read", exact=True)).to_be_visible()
    entry = there.locator("[data-entry]")
    expect(entry).to_have_count(1)
    entry.get_by_role("link").click()
    expect(Chat(there).text()).to_contain_text("At noon")
    shared = there.url
    there.get_by_role("button", name="Make a copy").click()
    expect(there).not_to_have_url(shared)
    expect(there).to_have_url(re.compile("/c/"))
    copy = Chat(there)
    expect(copy.text()).to_contain_text("At noon")
    copy.ask("High tide?")
    copy.wait_for_end()
    there.goto(shared)
    page.get_by_role("button", name=re.compile("End the share")).click()
    expect(page.get_by_text("Only you can see this chat.")).to_be_visible()
    expect(there.locator("[data-entry]")).to_have_count(1)
    there.goto(shared)
    expect(there.get_by_text("not there", exact=False).first).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_public_link_is_read_by_a_stranger(
    chat: Chat, page: Page, endpoint: WrittenEndpoint, browser: Browser, site: Site, width: int, scheme: str
) -> None:
    endpoint.answers["High tide?"] = ANSWER
    chat.ask("High tide?")
    chat.wait_for_end()
    open_sharing(page)
    page.get_by_role("button", name="Make a link").click()
    url = page.get_by_label("Public link").input_value()
    context = browser.new_context(
        locale="en-US",
        viewport={"width": width, "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    stranger = context.new_page()
    wrong: list[str] = []
    stranger.on("pageerror", lambda error: wrong.append(str(error)))
    stranger.goto(url)
    expect(stranger.locator("[data-shared-answer] strong")).to_have_text("noon")
    expect(stranger.locator("[data-shared-answer] .katex")).to_have_count(1)
    expect(stranger.locator("[data-shared-answer] table")).to_be_visible()
    shoot(stranger, f"shared-{width}-{scheme}")
    page.go_back()
    page.reload()
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    shoot(page, f"share-{width}-{scheme}")
    page.get_by_role("button", name=re.compile("^End ")).click()
    expect(page.get_by_role("status").first).to_contain_text("does not work any more")
    stranger.reload()
    expect(stranger.get_by_text("High tide?")).to_have_count(0)
    assert not wrong
    context.close()


def shoot(page: Page, name: str) -> None:
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, f"{name} is wider than the window"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
