"""Folders, presets and temporary chats, in a browser's hands."""

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site
from tests.browser.test_finding import tell
from tests.browser.test_ordering import choose, entry
from tests.browser.written_endpoint import WrittenEndpoint

SCREENS: list[tuple[int, Literal["light", "dark"]]] = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


def make_folder(page: Page, name: str) -> None:
    page.locator("[data-folders] summary").click()
    page.get_by_label("Name of the folder").fill(name)
    page.locator("[data-folders]").get_by_role("button", name="Make").click()
    page.wait_for_url("**/folders/*")


def test_chat_is_dragged_into_a_folder_and_moved_by_its_menu(page: Page, person: Person, model: object) -> None:
    for title in ("Depth of the harbour", "Moorings"):
        tell(person, title, "A question", "An answer")
    Chat(page).open()
    make_folder(page, "Pilots")
    expect(page.get_by_role("heading", level=1)).to_have_text("Pilots")
    entry(page, "Moorings").drag_to(page.locator("[data-folder]", has_text="Pilots"))
    expect(page.locator(".toast")).to_contain_text("The chat is in “Pilots”.")
    expect(entry(page, "Moorings")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(entry(page, "Moorings")).to_have_count(1)
    choose(page, "Depth of the harbour", "Move to a folder")
    page.get_by_role("menuitem", name="Pilots", exact=True).click()
    expect(entry(page, "Depth of the harbour")).to_have_count(0)
    page.reload()
    row = page.locator("[data-in-folder]")
    expect(row).to_contain_text("Depth of the harbour")
    row.get_by_role("button", name="Take out").click()
    page.wait_for_url("**/")
    expect(entry(page, "Depth of the harbour")).to_have_count(1)


def test_question_asked_in_a_folder_carries_its_instructions(page: Page, chat: Chat, endpoint: WrittenEndpoint) -> None:
    make_folder(page, "Pilots")
    page.get_by_role("textbox", name="Instructions").fill("Answer like a pilot.")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="New chat in this folder").click()
    expect(page.locator(".composer__notice").filter(has_text="Pilots")).to_be_visible()
    chat.ask("How deep is it?")
    chat.wait_for_end()
    assert any("Answer like a pilot." in str(request["messages"][0]) for request in endpoint.requests)
    page.locator("[data-folder]", has_text="Pilots").get_by_role("link").click()
    expect(page.locator("[data-in-folder]")).to_contain_text("How deep is it?")


def test_chosen_preset_sets_the_toggles_and_is_sent(page: Page, model: object, endpoint: WrittenEndpoint) -> None:
    from chatapp.endpoints.models import Endpoint

    Endpoint.objects.update(thinking=Endpoint.Thinking.SWITCHED)
    page.goto("/presets/new")
    page.get_by_label("Name", exact=True).fill("Harbour master")
    page.get_by_label("System prompt").fill("You are a harbour master.")
    page.get_by_label("Temperature").fill("0.2")
    page.get_by_label("Think", exact=True).check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Harbour master")
    chat = Chat(page)
    chat.open()
    think = page.get_by_role("button", name="Think", exact=True)
    expect(think).to_have_attribute("aria-pressed", "false")
    page.get_by_label("Preset").select_option(label="Harbour master")
    expect(think).to_have_attribute("aria-pressed", "true")
    chat.ask("Where may I moor?")
    chat.wait_for_end()
    asked = [body for body in endpoint.requests if "You are a harbour master." in str(body["messages"][0])]
    assert [body["temperature"] for body in asked] == [0.2]
    page.reload()
    expect(page.get_by_label("Preset").locator("option:checked")).to_have_text("Harbour master")


def test_temporary_chat_is_in_no_list_and_runs_out_when_its_page_is_left(page: Page, chat: Chat) -> None:
    from chatapp.conversations.models import Conversation

    page.get_by_role("link", name="Temporary chat").click()
    expect(page.get_by_text("A temporary chat: it is in no list")).to_be_visible()
    chat.ask("What is a fathom?")
    chat.wait_for_end()
    page.wait_for_timeout(500)
    expect(page.locator("[data-entry]")).to_have_count(0)
    kept = Conversation.objects.get(pk=chat.conversation)
    assert kept.is_temporary and kept.expires_at is not None
    page.goto("/")
    page.wait_for_timeout(500)
    left = Conversation.objects.get(pk=kept.pk)
    assert left.expires_at is not None and left.expires_at < kept.expires_at


@pytest.fixture(params=SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
def screen(
    request: pytest.FixtureRequest, browser: Browser, site: Site, person: Person, model: object
) -> Iterator[tuple[Page, str]]:
    width, scheme = request.param
    context = browser.new_context(
        base_url=site.url, locale="en-US", viewport={"width": width, "height": 844}, color_scheme=scheme
    )
    context.add_cookies([person.cookie(site.url)])
    yield context.new_page(), f"{width}-{scheme}"
    context.close()


def test_pages_of_keeping_fit_every_screen(screen: tuple[Page, str], person: Person) -> None:
    from chatapp.accounts.models import User
    from chatapp.folders import services
    from tests.chatapp.presets.test_presets import make_preset

    page, name = screen
    user = User.objects.get(pk=person.id)
    folder = services.create(user, "Harbour 港口 المرفأ")
    preset = make_preset(user)
    for what, path in (
        ("folder", f"/folders/{folder.pk}"),
        ("presets", "/presets"),
        ("preset", f"/presets/{preset.pk}"),
        ("who", f"/folders/{folder.pk}/who"),
        ("archives", "/account/archives"),
        ("imports", "/account/imports"),
        ("temporary", "/?temporary=on"),
    ):
        page.goto(path)
        page.screenshot(path=SCREENSHOTS / f"keeping-{what}-{name}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{what} is too wide"
