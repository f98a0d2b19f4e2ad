"""The owner's page about the web, as a person uses it: choose an engine, see its fields, try it."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.chat import Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site
from tests.browser.web import Internet


@pytest.fixture
def person(site: Site) -> Person:
    from chatapp.accounts.models import User

    User.objects.filter(role="owner").delete()
    return Person.new("Olga", role="owner")


def test_fields_are_those_of_the_engine(page: Page, internet: Internet) -> None:
    page.goto("/settings/web")
    expect(page.get_by_label("The team's own SearXNG")).to_be_checked()
    expect(page.get_by_label("Address", exact=True)).to_have_value(internet.engine_url)
    expect(page.get_by_label("Key", exact=True)).to_be_hidden()
    page.screenshot(path=SCREENSHOTS / "web-setting.png", full_page=True)
    page.get_by_label("Brave").check()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    expect(page.get_by_label("Address", exact=True)).to_be_hidden()
    page.get_by_label("Any engine that answers with JSON").check()
    page.get_by_label("Address with {query}").fill("https://a.test/find?q={query}")
    expect(page.get_by_label("In a result: its address")).to_have_value("url")
    page.screenshot(path=SCREENSHOTS / "web-setting-json.png", full_page=True)


def test_engine_is_tried_by_a_worker_and_each_failure_is_told(
    page: Page, internet: Internet, context: BrowserContext
) -> None:
    internet.failures = [("mojeek", "timeout"), ("google", "Suspended: too many requests")]
    page.goto("/settings/web")
    page.get_by_label("Query", exact=True).fill("Talmar tides")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("8 results in")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("mojeek did not answer in time")).to_be_visible()
    assert internet.queries == ["Talmar tides"]
    page.screenshot(path=SCREENSHOTS / "web-trial.png", full_page=True)
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.goto("/settings/web")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=SCREENSHOTS / "web-setting-phone-dark.png", full_page=True)
    internet.is_down = True
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("SearXNG had an error of its own")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("nothing was found")).to_be_hidden()
