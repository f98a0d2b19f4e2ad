"""The search over one's chats by keyboard: opened, typed into, walked through, left; and where a result leads."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site

FILLER = "Nothing of note happened at sea on that day, and the log says so at some length.\n\n"


def tell(person: Person, title: str, *texts: str) -> list[str]:
    """A chat that this person has had, read by the worker's own function. Returns the ids of its messages."""
    from chatapp.conversations.models import Conversation
    from chatapp.finding.indexing import index_waiting

    conversation = Conversation.objects.create(owner_id=person.id, title=title)
    parent, ids = None, []
    for number, text in enumerate(texts):
        author = None if number % 2 else person.id
        role = "assistant" if number % 2 else "user"
        parent = conversation.messages.create(parent=parent, role=role, author_id=author, text=text)
        ids.append(str(parent.pk))
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=parent)
    index_waiting()
    return ids


def edit(message: str, *texts: str) -> list[str]:
    """A newer version of this question, and what follows it: the branch that is shown from now on."""
    from chatapp.conversations.models import Conversation, Message
    from chatapp.finding.indexing import index_waiting

    old = Message.objects.get(pk=message)
    parent, ids = old.parent, []
    for number, text in enumerate(texts):
        role = "assistant" if number % 2 else "user"
        parent = Message.objects.create(conversation_id=old.conversation_id, parent=parent, role=role, text=text)
        ids.append(str(parent.pk))
    Conversation.objects.filter(pk=old.conversation_id).update(active_leaf=parent)
    index_waiting()
    return ids


@pytest.fixture
def told(person: Person, model: object) -> dict[str, list[str]]:
    harbour = tell(
        person,
        "Depth of the harbour",
        *[FILLER] * 8,
        "How deep is the harbour at low tide?",
        f"Four metres at the old pier. {FILLER}",
        *[FILLER * 3] * 8,
    )
    return {
        "harbour": harbour,
        "marées": tell(person, "Les marées", "L'été dernier, les marées étaient très hautes.", "Oui, à Saint-Malo."),
        "水质": tell(person, "水质监测", "水质监测系统每小时报告一次硝酸盐浓度吗?", "是的。"),
    }


@pytest.fixture
def options(page: Page) -> "Callable[[], list[str]]":
    return lambda: page.get_by_role("option").all_inner_texts()


def field(page: Page):  # type: ignore[no-untyped-def]
    return page.get_by_role("combobox", name="Search your chats")


def chosen(page: Page) -> str:
    active = field(page).get_attribute("aria-activedescendant")
    option = page.locator(f"#{active}")
    expect(option).to_have_attribute("aria-selected", "true")
    expect(page.locator("[role=option][aria-selected=true]")).to_have_count(1)
    return option.inner_text()


def test_found_and_opened_by_keyboard_alone(page: Page, told: dict[str, list[str]]) -> None:
    chat = Chat(page)
    chat.open()
    chat.field.focus()
    page.keyboard.press("Control+k")
    expect(field(page)).to_be_focused()
    expect(page.get_by_role("option")).to_have_count(3)  # nothing is asked: the recent chats
    assert "水质监测" in chosen(page)
    page.keyboard.press("ArrowDown")
    assert "Les marées" in chosen(page)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert "Depth of the harbour" in chosen(page)
    page.keyboard.type("old pie")
    expect(page.get_by_role("option")).to_have_count(1)
    assert "Answer" in chosen(page)
    expect(page.locator(".found mark")).to_have_text(["old", "pier"])
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/c/[0-9a-f-]{36}$"))
    message = page.locator(f'[data-message="{told["harbour"][9]}"]')
    expect(message).to_be_in_viewport()
    expect(message).to_have_class(re.compile("message--sought"))
    page.wait_for_timeout(800)
    expect(message).to_be_in_viewport()
    expect(message).not_to_have_class(re.compile("message--sought"), timeout=6_000)


def test_escape_leaves_and_touches_nothing_behind(chat: Chat, page: Page) -> None:
    chat.field.fill("A draft")
    page.keyboard.press("Control+k")
    expect(field(page)).to_be_focused()
    page.keyboard.type("draft / o")
    page.keyboard.press("Escape")
    expect(page.locator("[data-finder]")).to_be_hidden()
    expect(chat.field).to_be_focused()
    expect(chat.field).to_have_value("A draft")


def test_slips_languages_and_beginnings(chat: Chat, page: Page, told: dict[str, list[str]]) -> None:
    chat.open()
    page.get_by_role("link", name="Search").click()
    for typed, title in (
        ("harbor depht", "Depth"),
        ("marees hautes", "Les marées"),
        ("硝酸盐", "水质监测"),
        ("sai", "marées"),
    ):
        field(page).fill(typed)
        expect(page.get_by_role("option").first).to_contain_text(title)
        assert title in chosen(page)
    field(page).fill("xylophone")
    expect(page.get_by_role("status").filter(has_text="Nothing was found.")).to_be_visible()
    expect(page.get_by_role("option")).to_have_count(0)
    expect(field(page)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("[data-finder]")).to_be_visible()


def test_an_answer_to_an_older_question_is_dropped(page: Page, told: dict[str, list[str]]) -> None:
    held: list[Route] = []
    page.route(re.compile(r"/search\?q=harbour$"), lambda route: held.append(route))
    Chat(page).open()
    page.keyboard.press("Control+k")
    field(page).fill("harbour")
    page.wait_for_timeout(400)
    assert len(held) == 1
    field(page).fill("marées")
    expect(page.get_by_role("option").first).to_contain_text("marées")
    held[0].continue_()
    page.wait_for_timeout(500)
    expect(page.get_by_role("option").first).to_contain_text("marées")


def test_enter_before_the_answer_opens_what_it_brings(page: Page, told: dict[str, list[str]]) -> None:
    Chat(page).open()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("option")).to_have_count(3)
    field(page).fill("Saint-Malo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Les marées")


def test_result_opens_at_a_version_that_is_not_shown(page: Page, told: dict[str, list[str]]) -> None:
    newer = edit(told["harbour"][8], "How deep is it at high tide?", "Nine metres.")
    Chat(page).open()
    page.keyboard.press("Control+k")
    field(page).fill("low tide")
    page.get_by_role("option").first.click()
    expect(page.locator(f'[data-message="{told["harbour"][8]}"]')).to_be_in_viewport()
    expect(page.locator(f'[data-message="{newer[0]}"]')).to_have_count(0)
    page.wait_for_url(re.compile(r"/c/[0-9a-f-]{36}$"))
    page.reload()
    expect(page.locator(f'[data-message="{told["harbour"][9]}"]')).to_have_count(1)  # remembered, as by the pager


def test_site_that_is_away_is_told_in_words(page: Page, told: dict[str, list[str]]) -> None:
    Chat(page).open()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("option")).to_have_count(3)
    page.route("**/search?q=*", lambda route: route.abort())
    field(page).fill("pier")
    expect(page.locator("[data-finder-words]")).to_contain_text("cannot be reached")
    page.unroute("**/search?q=*")
    field(page).fill("pier ")
    expect(page.get_by_role("option")).to_have_count(1)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_looks_right(
    browser: Browser, site: Site, person: Person, told: dict[str, list[str]], width: int, height: int, scheme: str
) -> None:
    context = browser.new_context(
        base_url=site.url, locale="en-US", viewport={"width": width, "height": height}, color_scheme=scheme
    )
    context.add_cookies([person.cookie(site.url)])
    page = context.new_page()
    Chat(page).open()
    if width < 861:
        page.get_by_role("button", name="Open the list of chats").click()
    page.screenshot(path=SCREENSHOTS / f"finder-button-{width}-{scheme}.png")
    page.get_by_role("link", name="Search").click()
    expect(page.get_by_role("option")).to_have_count(3)
    page.screenshot(path=SCREENSHOTS / f"finder-recent-{width}-{scheme}.png")
    field(page).fill("tide harb")
    expect(page.get_by_role("option").first).to_contain_text("harbour")
    page.screenshot(path=SCREENSHOTS / f"finder-found-{width}-{scheme}.png")
    field(page).fill("no")
    expect(page.locator(".found mark").first).to_be_visible()
    page.screenshot(path=SCREENSHOTS / f"finder-many-{width}-{scheme}.png")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_timeout(700)
    page.screenshot(path=SCREENSHOTS / f"finder-opened-{width}-{scheme}.png")
    context.close()
