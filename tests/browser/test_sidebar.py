"""The list of chats and the menus: rename, delete with undo, folding, theme, languages, signing out."""

from playwright.sync_api import Page, expect

from tests.browser.chat import Chat


def _menu(page: Page, title: str) -> None:
    page.locator("[data-entry]", has_text=title).hover()
    page.get_by_role("button", name=f"More about {title}").click()


def test_rename_shows_everywhere(chat: Chat, page: Page) -> None:
    chat.ask("Old name")
    chat.wait_for_end()
    _menu(page, "Old name")
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Title").fill("New name")
    page.get_by_label("Title").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("New name")
    page.reload()
    expect(page.locator("[data-conversations]")).to_contain_text("New name")


def test_delete_can_be_undone(chat: Chat, page: Page) -> None:
    chat.ask("Short lived")
    chat.wait_for_end()
    _menu(page, "Short lived")
    page.get_by_role("menuitem", name="Delete").click()
    page.wait_for_url("**/")
    expect(page.locator("[data-conversations]")).not_to_contain_text("Short lived")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-conversations]")).to_contain_text("Short lived")


def test_sidebar_folds_and_stays_folded(chat: Chat, page: Page) -> None:
    page.get_by_role("button", name="Fold the list of chats").click()
    expect(page.locator("[data-conversations]")).to_be_hidden()
    page.reload()
    expect(page.locator("[data-conversations]")).to_be_hidden()


def test_theme_is_remembered(chat: Chat, page: Page) -> None:
    page.get_by_role("button", name="Menu of").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.wait_for_timeout(200)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_languages_are_switched_in_the_menu(chat: Chat, page: Page) -> None:
    for language, placeholder in (("de", "Frag"), ("zh-hans", "")):
        page.locator("[data-menu=profile]").click()
        page.locator(f"[data-action=language][data-value={language}]").click()
        expect(page.locator("html")).to_have_attribute("lang", language)
        if placeholder:
            assert "Ask anything" not in (page.locator("[data-text]").get_attribute("placeholder") or "")
        page.screenshot(path=f"var/screenshots/empty-{language}.png")


def test_menu_is_used_by_keyboard(chat: Chat, page: Page) -> None:
    button = page.get_by_role("button", name="Menu of")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Account")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Files")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Presets")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Archive")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Usage")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitemradio", name="System")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(page.get_by_role("menuitem", name="Account")).to_be_hidden()


def test_signing_out_leaves_no_text_behind(chat: Chat, page: Page) -> None:
    chat.field.fill("A secret thought")
    page.wait_for_timeout(400)
    page.get_by_role("button", name="Menu of").click()
    page.get_by_role("menuitem", name="Sign out").click()
    page.wait_for_url("**/sign-in**")
    assert "secret" not in page.evaluate("JSON.stringify(localStorage)")
