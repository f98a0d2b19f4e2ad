"""Collections in a browser's hands: made, filled, searched, shared, asked from a new chat, and deleted."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.files import NamedFile, SentFrames, Tray, bytes_file, text_file
from tests.browser.site import Site

TIDES = "High tide at the old pier is at noon on Friday.\n\nThe tower has a bell of bronze.\n"


def make_collection(page: Page, name: str) -> None:
    page.goto("/files")
    page.get_by_label("Name of a new collection").fill(name)
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def hits(page: Page) -> Locator:
    """What the page has found. Files are filed under their words a moment after they have been read."""
    found = page.locator(".hit")
    for _ in range(40):
        expect(page.get_by_role("heading", name="Found for")).to_be_visible()
        if found.count():
            break
        page.wait_for_timeout(500)
        page.reload()
    return found


def add(page: Page, *files: NamedFile) -> None:
    page.locator("form[data-collection] [data-file-input]").set_input_files(list(files))


def test_collection_is_made_filled_searched_and_asked_from_a_new_chat(model: object, page: Page, reading: Site) -> None:
    sent = SentFrames(page)
    make_collection(page, "Harbour")
    add(page, text_file("tides.txt", TIDES), text_file("other.txt", "Nothing of note."))
    rows = page.locator("[data-file]")
    expect(rows).to_have_count(2)
    expect(page.locator("[data-file][data-state=ready]")).to_have_count(2, timeout=20_000)
    expect(page.locator("[data-chip]")).to_have_count(0)
    page.get_by_label("Search in this collection").fill("high tide")
    page.get_by_role("button", name="Search").click()
    hit = hits(page).first
    expect(hit).to_contain_text("High tide at the old pier")
    hit.click()
    expect(page.locator("[data-panel] .source__hit").first).to_contain_text("High tide")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Show all files").click()
    page.get_by_role("link", name="Ask in a new chat").click()
    chat = Chat(page)
    chip = page.locator("[data-collection-chip]")
    expect(chip).to_contain_text("Harbour")
    expect(page.locator("[data-fit-words]")).to_contain_text("fit")
    chat.ask("When is high tide?")
    chat.wait_for_end()
    expect(chip).to_have_count(0)
    expect(chat.questions.last.locator("[data-collection]")).to_contain_text("Harbour")
    expect(chat.answers.last).to_contain_text("Everything was read")
    [frame] = sent.of("send_message")
    assert len(frame["collections"]) == 1 and frame["uploads"] == []


def test_collection_is_chosen_at_the_paper_clip_and_stays_with_the_draft(chat: Chat, page: Page) -> None:
    make_collection(page, "Pilots")
    chat.open()
    clip = page.get_by_role("button", name="Attach files")
    clip.click()
    choice = page.get_by_role("menuitemcheckbox", name="Pilots")
    choice.click()
    expect(choice).to_have_attribute("aria-checked", "true")
    page.keyboard.press("Escape")
    expect(clip).to_be_focused()
    chip = page.locator("[data-collection-chip]")
    expect(chip).to_contain_text("Pilots")
    page.reload()
    expect(chip).to_contain_text("Pilots")
    page.get_by_role("button", name="Remove: Pilots").click()
    expect(chip).to_have_count(0)
    with page.expect_file_chooser():
        clip.click()
        page.get_by_role("menuitem", name="Upload files").click()


def test_edited_question_keeps_its_collection(chat: Chat, page: Page) -> None:
    make_collection(page, "Pilots")
    page.get_by_role("link", name="Ask in a new chat").click()
    expect(page.locator("[data-collection-chip]")).to_have_count(1)
    chat.ask("Who is the pilot?")
    chat.wait_for_end()
    chat.questions.last.hover()
    chat.questions.last.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit your question").fill("Who are the pilots?")
    page.get_by_label("Edit your question").press("Enter")
    expect(chat.questions.last.locator(".pager__place")).to_have_text("2/2")
    expect(chat.questions.last.locator("[data-collection]")).to_contain_text("Pilots")


def test_own_files_are_reached_from_the_menu_found_and_asked_about(chat: Chat, page: Page, reading: Site) -> None:
    tray = Tray(page)
    tray.choose(text_file("bells.txt", "The tower has a bell of bronze."), text_file("pier.txt", "It is 40 m long."))
    expect(page.locator("[data-chip][data-state=ready]")).to_have_count(2, timeout=40_000)
    chat.ask("What do they say?")
    chat.wait_for_end()
    page.get_by_role("button", name="Menu of Ana").click()
    page.get_by_role("menuitem", name="Files").click()
    rows = page.locator("[data-file]")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("What do they say?")
    rows.filter(has_text="bells.txt").get_by_role("link", name="Ask about: bells.txt").click()
    expect(tray.chip("bells.txt")).to_have_attribute("data-state", "ready")
    chat.ask("And this one alone?")
    expect(chat.questions.last.locator("[data-upload]")).to_contain_text("bells.txt")
    page.goto("/files")
    page.get_by_label("Search in your files").fill("bronze")
    page.get_by_role("button", name="Search").click()
    expect(hits(page)).to_have_count(1)
    expect(page.locator(".hit")).to_contain_text("bell of bronze")


def test_shared_collection_is_seen_by_those_it_is_shared_with_until_that_ends(
    site: Site, person: Person, page: Page, browser: Browser, model: object
) -> None:
    other = Person.new("Bo")
    make_collection(page, "Shared harbour")
    path = page.url.removeprefix(site.url)
    context = browser.new_context(base_url=site.url, locale="en-US")
    context.add_cookies([other.cookie(site.url)])
    theirs = context.new_page()
    assert theirs.goto(path).status == 404  # type: ignore[union-attr]
    page.get_by_label("With whom").select_option(f"person:{other.id}")
    page.get_by_role("button", name="Share").click()
    expect(page.locator(".rows__row", has_text="Bo")).to_contain_text("may see, search and ask it")
    theirs.goto("/files")
    theirs.get_by_role("link", name=re.compile("Shared harbour")).click()
    expect(theirs.get_by_role("heading", level=1)).to_have_text("Shared harbour")
    expect(theirs.get_by_role("button", name="Add files")).to_have_count(0)
    expect(theirs.get_by_role("button", name="Rename")).to_have_count(0)
    page.get_by_role("button", name="End the share with Bo").click()
    assert theirs.reload().status == 404  # type: ignore[union-attr]
    context.close()


def test_file_and_collection_are_deleted_after_a_question(chat: Chat, page: Page) -> None:
    make_collection(page, "Short-lived")
    add(page, text_file("gone.txt", "Soon gone."), bytes_file("log.txt", 2000))
    expect(page.locator("[data-file]")).to_have_count(2)
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Take out: log.txt").click()
    page.reload()
    expect(page.locator("[data-file]")).to_have_count(2)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Take out: log.txt").click()
    expect(page.locator("[data-file]")).to_have_count(1)
    page.goto("/files")
    expect(page.locator("[data-file]")).to_have_count(1)
    expect(page.locator(".files__uses")).to_contain_text("Short-lived")
    page.get_by_role("link", name="Delete: gone.txt").click()
    expect(page.get_by_role("main")).to_contain_text("This cannot be undone.")
    page.get_by_role("button", name="Delete everywhere").click()
    expect(page.get_by_role("heading", level=1, name="Files")).to_be_visible()
    expect(page.locator("[data-file]")).to_have_count(0)
    page.get_by_role("link", name=re.compile("Short-lived")).click()
    page.get_by_role("link", name="Delete the collection").click()
    page.get_by_role("button", name="Delete the collection").click()
    expect(page.get_by_role("link", name=re.compile("Short-lived"))).to_have_count(0)


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_pages_of_files_look_right(
    person: Person, page: Page, model: object, reading: Site, theme: str, width: int
) -> None:
    from chatapp.accounts.models import User

    User.objects.filter(pk=person.id).update(theme=theme)
    make_collection(page, "Harbour")
    add(page, text_file("tides.txt", TIDES), text_file("a very long name of a file that goes on and on.md", "# A\n\nB"))
    expect(page.locator("[data-file][data-state=ready]")).to_have_count(2, timeout=20_000)
    page.set_viewport_size({"width": width, "height": 800})
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def shoot(name: str) -> None:
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
        page.screenshot(path=SCREENSHOTS / f"files-{name}-{theme}-{width}.png")

    shoot("collection")
    page.locator(".share").scroll_into_view_if_needed()
    shoot("sharing")
    page.goto(page.url + "?q=tide")
    hits(page).first.click()
    expect(page.locator("[data-panel] .source__hit").first).to_be_visible()
    shoot("found")
    page.goto("/files")
    shoot("shelf")
    page.get_by_role("link", name="Delete: tides.txt").click()
    shoot("delete")
    page.goto("/")
    page.get_by_role("button", name="Attach files").click()
    page.get_by_role("menuitemcheckbox", name="Harbour").click()
    shoot("menu")
