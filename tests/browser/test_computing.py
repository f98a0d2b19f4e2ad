"""A sum over a real spreadsheet: the model calls, the worker computes, the page shows query, result and cells."""

from playwright.sync_api import Browser, expect

from chatapp.endpoints.models import Endpoint
from tests.browser.chat import Chat
from tests.browser.files import Tray, xlsx_file
from tests.browser.site import Site
from tests.browser.written_endpoint import WrittenEndpoint

QUESTION = "What do the longer lines cost together?"
SQL = "SELECT sum(price) AS total FROM costs WHERE fathoms > 50"
ROWS = [["item", "fathoms", "price"], *[[f"line {number}", number * 10, number * 3.5] for number in range(1, 9)]]


def test_a_sum_shows_its_query_and_opens_the_sheet_at_the_cells_it_has_read(
    chat: Chat, reading: Site, browser: Browser, model: Endpoint, endpoint: WrittenEndpoint
) -> None:
    Endpoint.objects.update(model="tools", tools=True)
    endpoint.answers[QUESTION] = "Together they cost 73.5 [2]."
    endpoint.tool_calls = [("query_table", {"sql": SQL})]
    tray, page = Tray(chat.page), chat.page
    tray.choose(xlsx_file("costs.xlsx", "Costs", ROWS))
    expect(tray.chip("costs.xlsx")).to_have_attribute("data-state", "ready", timeout=30_000)
    chat.ask(QUESTION)
    expect(chat.answers.last).to_have_attribute("data-status", "finished", timeout=30_000)
    computed = chat.answers.last.locator("[data-computed]")
    computed.locator("summary").click()
    expect(computed.locator("code")).to_have_text(SQL)
    expect(computed.locator("tbody td")).to_have_text(["73.5"])
    computed.get_by_role("button", name="Costs!B7:C9").click()
    hits = page.locator("[data-panel] .source__hit")
    expect(hits).to_have_text(["60", "21", "70", "24.5", "80", "28"])
    expect(hits.first).to_be_in_viewport()
    page.screenshot(path="var/screenshots/computed.png")
    page.keyboard.press("Escape")
    expect(chat.answers.last.locator("[data-doubts]")).to_be_hidden()
    chat.text().get_by_role("button", name="Source 1").click()
    expect(page.locator("[data-panel] .source__hit")).to_have_count(6)
    told = [request["messages"][-1] for request in endpoint.requests if request["messages"][-1]["role"] == "tool"]
    assert [message["content"] for message in told] == ["[2] from Costs!B7:C9\ntotal\n73.5"]
    endpoint.tool_calls = []
