"""A real Chromium before the real site. A run of its own: Playwright's synchronous loop lives in the main thread.

Screenshots go to var/screenshots. Every page fails its test on an uncaught error or a breach of the content policy.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect, sync_playwright

from ops.environment import free_ports
from ops.services import Services
from tests.browser.chat import Chat, Person
from tests.browser.site import ROOT, Site
from tests.browser.web import Internet
from tests.browser.written_endpoint import WrittenEndpoint
from tests.search.web.small_web import SmallWeb

# The loop of the synchronous Playwright makes Django believe that it is called from asyncio code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = ROOT / "var" / "screenshots"
expect.set_options(timeout=8_000)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[WrittenEndpoint]:
    with WrittenEndpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def site(services: Services, django_db_blocker: pytest.FixtureRequest) -> Iterator[Site]:
    from django.core.management import call_command

    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0)
        call_command("flush", interactive=False, verbosity=0)
        site = Site(services.env, free_ports(1)[0], services.data / "logs")
        site.start()
        yield site
        site.stop()


@pytest.fixture(scope="session")
def reading(site: Site) -> Site:
    """The site with its worker for files; most tests need none."""
    site.start_reading()
    return site


@pytest.fixture(scope="session")
def searching(site: Site) -> Iterator[Internet]:
    """The site with its worker for the web, and an internet of one port."""
    with SmallWeb() as web:
        site.start_searching(web.port)
        yield Internet(web)


@pytest.fixture
def internet(searching: Internet) -> Iterator[Internet]:
    """The team asks its SearXNG; every test begins with the same web."""
    from chatapp.searches.models import WebSetting

    searching.clear()
    WebSetting.objects.all().delete()
    WebSetting.objects.create(engine=WebSetting.Engine.SEARXNG, engine_url=searching.engine_url)
    yield searching
    searching.let_go()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt install chromium, or name another by CHROMIUM")
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
    yield browser
    browser.close()


@pytest.fixture
def person(site: Site) -> Person:
    return Person.new("Ana")


@pytest.fixture
def model(site: Site, endpoint: WrittenEndpoint) -> Iterator[object]:
    """The default endpoint's row; tests change `model` (how it answers) and save."""
    from chatapp.endpoints.models import Endpoint

    endpoint.answers.clear()
    endpoint.queries.clear()
    endpoint.tool_calls.clear()
    endpoint.calls.clear()
    endpoint.gate.set()
    Endpoint.objects.all().delete()
    yield Endpoint.objects.create(
        name="Scripted model",
        note="A scripted model, for tests only.",
        base_url=endpoint.base_url,
        model="plain",
        is_default=True,
        context_length=4096,
        continuation=Endpoint.Continuation.PREFIX_TRUE,
    )
    endpoint.gate.set()


@pytest.fixture
def context(browser: Browser, site: Site, person: Person) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=site.url, locale="en-US", viewport={"width": 1280, "height": 800})
    context.add_cookies([person.cookie(site.url)])
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: _note(message, wrong))
    yield page
    assert not wrong, wrong


@pytest.fixture
def chat(page: Page, model: object) -> Chat:
    chat = Chat(page)
    chat.open()
    return chat


def _note(message: ConsoleMessage, wrong: list[str]) -> None:
    if message.type == "error" and not _is_expected(message):
        wrong.append(f"{message.text} ({message.location.get('url')})")


def _is_expected(message: ConsoleMessage) -> bool:
    # A lost network is an error to the console and an ordinary day to the page.
    if "net::ERR" in message.text or "WebSocket connection" in message.text:
        return True
    # The policy stops Mermaid's own styles while it measures; the finished image carries them (helpers/diagram.js).
    return "inline style" in message.text and "/vendor/mermaid/" in str(message.location.get("url"))
