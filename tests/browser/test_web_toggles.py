"""Search and Deep search under the question: what they ask for, what is remembered, and what they say when off."""

from playwright.sync_api import Page, expect

from chatapp.answers.models import Answer
from chatapp.endpoints.models import Endpoint
from chatapp.searches.models import WebSetting
from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.web import Internet


def test_search_is_asked_for_and_remembered_with_the_person(chat: Chat, page: Page, internet: Internet) -> None:
    search = page.get_by_role("button", name="Search", exact=True)
    expect(search).to_have_attribute("aria-pressed", "false")
    search.focus()
    with page.expect_response("**/preferences"):
        page.keyboard.press("Space")
    expect(search).to_have_attribute("aria-pressed", "true")
    page.screenshot(path=SCREENSHOTS / "web-toggles.png")
    page.reload()
    expect(search).to_have_attribute("aria-pressed", "true")
    chat.ask("Which wall did the flood break?")
    chat.wait_for_end()
    asked = Answer.objects.get(message__conversation=chat.conversation)
    assert (asked.search, asked.deep) == (True, False)
    with page.expect_response("**/preferences"):
        search.click()
    chat.answers.last.hover()
    chat.answers.last.get_by_role("button", name="Answer again").click()
    expect(chat.answers.last.get_by_text("2/2")).to_be_visible()
    chat.wait_for_end()
    again = Answer.objects.filter(message__conversation=chat.conversation).latest("created_at")
    assert not again.search


def test_deep_search_needs_a_model_that_calls_tools(
    chat: Chat, page: Page, model: Endpoint, internet: Internet
) -> None:
    deep = page.get_by_role("button", name="Deep search")
    expect(deep).to_be_hidden()
    Endpoint.objects.filter(pk=model.pk).update(tools=True)
    Endpoint.objects.create(name="Other", base_url=model.base_url, model="plain", context_length=4096)
    page.reload()
    expect(deep).to_be_visible()
    deep.click()
    search = page.get_by_role("button", name="Search", exact=True)
    expect(search).to_have_attribute("aria-pressed", "true")
    search.click()
    expect(deep).to_have_attribute("aria-pressed", "false")
    deep.click()
    page.get_by_role("combobox", name="Model").select_option("Other")
    expect(deep).to_be_hidden()
    chat.ask("Which wall did the flood break?")
    chat.wait_for_end()
    asked = Answer.objects.get(message__conversation=chat.conversation)
    assert (asked.search, asked.deep) == (True, False), "that model cannot search by itself"


def test_where_the_web_is_off_the_toggle_says_so(chat: Chat, page: Page, internet: Internet, person: Person) -> None:
    from chatapp.accounts.models import User

    User.objects.filter(pk=person.id).update(wants_search=True)
    WebSetting.objects.update(is_on=False)
    page.reload()
    search = page.get_by_role("button", name="Search", exact=True)
    expect(search).to_have_attribute("aria-disabled", "true")
    expect(search).to_have_attribute("aria-pressed", "false")
    search.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The web is switched off for this team")).to_be_visible()
    chat.ask("Which wall did the flood break?")
    chat.wait_for_end()
    assert not Answer.objects.get(message__conversation=chat.conversation).search


def test_row_fits_on_a_phone(chat: Chat, page: Page, model: Endpoint, internet: Internet) -> None:
    Endpoint.objects.filter(pk=model.pk).update(tools=True, thinking="switched")
    Endpoint.objects.create(name="Another model with a long name", base_url=model.base_url, model="plain")
    page.set_viewport_size({"width": 360, "height": 740})
    page.reload()
    page.get_by_role("button", name="Deep search").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    send, box = page.get_by_role("button", name="Send").bounding_box(), page.locator(".composer__box").bounding_box()
    assert send and box and send["x"] + send["width"] <= box["x"] + box["width"]
    page.screenshot(path=SCREENSHOTS / "web-toggles-phone.png")
