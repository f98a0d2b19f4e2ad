"""Screenshots for people to look at, in var/screenshots: three widths, light and dark. Checks what can be measured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site
from tests.browser.written_endpoint import WrittenEndpoint

WIDTHS = {390: 844, 820: 1180, 1440: 900}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
QUESTION = "How was the depth of the sea measured before sonar, and how good were the numbers?"
ANSWER = Path(__file__).with_name("sounding.md").read_text(encoding="utf-8")


@pytest.fixture(
    params=[(width, scheme) for width in WIDTHS for scheme in SCHEMES], ids=lambda case: f"{case[0]}-{case[1]}"
)
def screen(request: pytest.FixtureRequest, browser: Browser, site: Site, model: object) -> Iterator[tuple[Page, str]]:
    width, scheme = request.param
    person = Person.new("Ana")
    context = browser.new_context(
        base_url=site.url, locale="en-US", viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme
    )
    context.add_cookies([person.cookie(site.url)])
    yield context.new_page(), f"{width}-{scheme}"
    context.close()


def test_pages_look_right(screen: tuple[Page, str], endpoint: WrittenEndpoint) -> None:
    page, name = screen
    endpoint.answers[QUESTION] = ANSWER
    chat = Chat(page)
    chat.open()
    _shoot(page, f"empty-{name}")
    for number, question in enumerate(("What is a fathom?", "Who was the leadsman?", QUESTION), start=1):
        chat.ask(question)
        expect(chat.answers).to_have_count(number)
        chat.wait_for_end()
    expect(chat.text().locator(".katex")).to_have_count(4)
    page.mouse.move(0, 0)
    _shoot(page, f"conversation-end-{name}")
    _show_last_question(page)
    _shoot(page, f"conversation-{name}")
    _check_layout(page)
    if page.viewport_size and page.viewport_size["width"] < 861:
        page.get_by_role("button", name="Open the list of chats").click()
        page.wait_for_timeout(300)
        _shoot(page, f"drawer-{name}")
        page.keyboard.press("Escape")
    page.goto("/account")
    _shoot(page, f"account-{name}")


def _check_layout(page: Page) -> None:
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, "the page is wider than the window"


def _show_last_question(page: Page) -> None:
    page.locator(".thread [data-role=user]").last.evaluate("question => question.scrollIntoView()")
    page.wait_for_timeout(150)


def _shoot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.mark.parametrize("width", WIDTHS)
def test_settings_look_right(browser: Browser, site: Site, model: object, width: int) -> None:
    from chatapp.accounts.models import Role

    person = Person.new("Olga", role=Role.OWNER)
    context = browser.new_context(base_url=site.url, locale="en-US", viewport={"width": width, "height": WIDTHS[width]})
    context.add_cookies([person.cookie(site.url)])
    page = context.new_page()
    for path, name in (("/settings/endpoints", "settings"), ("/settings/endpoints/new", "settings-new")):
        page.goto(path)
        _shoot(page, f"{name}-{width}")
        _check_layout(page)
    context.close()
