"""Pins, the archive, and many chats at once, in a browser's hands."""

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site
from tests.browser.test_finding import tell


@pytest.fixture
def told(person: Person, model: object) -> list[str]:
    """The last one is the newest."""
    titles = ["Depth of the harbour", "Les marées", "水质监测", "Moorings"]
    for title in titles:
        tell(person, title, "A question", "An answer")
    return titles


def entry(page: Page, title: str) -> Locator:
    return page.locator("[data-entry]", has_text=title)


def choose(page: Page, title: str, name: str) -> None:
    entry(page, title).hover()
    page.get_by_role("button", name=f"More about {title}").click()
    page.get_by_role("menuitem", name=name, exact=True).click()


def titles(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".conversation__link").all_inner_texts()]


def test_pinned_chat_stands_on_top_until_it_is_unpinned(page: Page, told: list[str]) -> None:
    Chat(page).open()
    assert titles(page)[0] == "Moorings"
    choose(page, "Les marées", "Pin")
    expect(page.locator(".conversations__label").first).to_have_text("Pinned")
    assert titles(page)[0] == "Les marées"
    page.reload()
    assert titles(page)[0] == "Les marées"
    choose(page, "Les marées", "Unpin")
    expect(page.locator(".conversations__label")).to_have_text(["Today"])


def test_archived_chat_leaves_the_list_and_is_put_back(page: Page, told: list[str]) -> None:
    Chat(page).open()
    choose(page, "Moorings", "Archive")
    expect(entry(page, "Moorings")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(entry(page, "Moorings")).to_have_count(1)
    choose(page, "Moorings", "Archive")
    expect(entry(page, "Moorings")).to_have_count(0)
    page.get_by_role("button", name="Menu of").click()
    page.get_by_role("menuitem", name="Archive").click()
    row = page.locator("[data-archived]")
    expect(row).to_contain_text("Moorings")
    page.screenshot(path=SCREENSHOTS / "ordering-archive.png")
    row.get_by_role("button", name="Put back").click()
    expect(page.get_by_text("Nothing is archived.")).to_be_visible()
    expect(entry(page, "Moorings")).to_have_count(1)


def test_many_are_deleted_at_once_by_keyboard_and_come_back(page: Page, told: list[str]) -> None:
    Chat(page).open()
    choose(page, "Moorings", "Choose several")
    expect(page.get_by_role("checkbox", name="Choose Moorings")).to_be_focused()
    page.get_by_role("checkbox", name="Choose Les marées").focus()
    page.keyboard.press("Space")
    entry(page, "水质监测").get_by_role("link").click()  # while one chooses, a line does not lead away
    expect(page.locator("[data-choosing-words]")).to_have_text("3 chats chosen")
    page.screenshot(path=SCREENSHOTS / "ordering-choosing.png")
    page.locator("[data-choosing]").get_by_role("button", name="Delete").click()
    expect(page.locator("[data-entry]")).to_have_count(1)
    expect(page.locator("[data-choosing]")).to_be_hidden()
    expect(page.locator(".toast")).to_contain_text("3 chats are deleted.")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-entry]")).to_have_count(4)


def test_choosing_is_left_by_escape_and_nothing_is_done(page: Page, told: list[str]) -> None:
    Chat(page).open()
    choose(page, "Moorings", "Choose several")
    page.get_by_role("button", name="Choose all").click()
    expect(page.locator("[data-choosing-words]")).to_have_text("4 chats chosen")
    page.get_by_role("checkbox", name="Choose Moorings").focus()
    page.keyboard.press("Escape")
    expect(page.locator("[data-choosing]")).to_be_hidden()
    expect(page.get_by_role("checkbox")).to_have_count(0)
    expect(page.locator("[data-entry]")).to_have_count(4)
    entry(page, "Moorings").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Moorings")


def test_the_open_chat_deleted_among_others_leads_to_a_new_one(page: Page, told: list[str]) -> None:
    Chat(page).open()
    entry(page, "Moorings").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Moorings")
    choose(page, "Moorings", "Choose several")
    page.get_by_role("button", name="Choose all").click()
    page.locator("[data-choosing]").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/")
    expect(page.locator("[data-conversations]")).to_contain_text("No chats yet.")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-entry]")).to_have_count(4)


def test_a_shared_chat_may_be_pinned_and_not_deleted(browser: Browser, site: Site, told: list[str]) -> None:
    from chatapp.conversations.models import Conversation, Grant

    reader = Person.new("Rita")
    Grant.objects.create(
        conversation=Conversation.objects.filter(title="Moorings").latest("created_at"),
        user_id=reader.id,
        access="read",
    )
    context = browser.new_context(base_url=site.url, locale="en-US", viewport={"width": 390, "height": 844})
    context.add_cookies([reader.cookie(site.url)])
    page = context.new_page()
    page.goto("/")
    page.get_by_role("button", name="Open the list of chats").click()
    page.get_by_role("button", name="More about Moorings").click()
    for name, is_there in (("Pin", True), ("Archive", True), ("Unpin", False), ("Rename", False), ("Delete", False)):
        expect(page.get_by_role("menuitem", name=name, exact=True)).to_be_visible(visible=is_there)
    page.get_by_role("menuitem", name="Choose several").click()
    bar = page.locator("[data-choosing]")
    expect(bar.get_by_role("button", name="Delete")).to_be_disabled()
    expect(bar.get_by_role("button", name="Archive")).to_be_enabled()
    page.wait_for_timeout(300)
    page.screenshot(path=SCREENSHOTS / "ordering-choosing-390.png")
    context.close()
