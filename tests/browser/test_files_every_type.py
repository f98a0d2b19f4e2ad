"""Every type of file that is read: dropped into one question, and opened at its place from a mark of its own."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from chatapp.endpoints.models import Endpoint
from tests.browser.chat import Chat
from tests.browser.every_type import write_every_type
from tests.browser.files import Tray
from tests.browser.site import Site
from tests.browser.written_endpoint import WrittenEndpoint
from tests.uploads.parsers import office

QUESTION = "What is sold on Fridays?"
PANEL = "[data-panel]"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    if not office.is_installed():
        assert os.environ.get("CI", "").lower() not in {"1", "true"}, "LibreOffice is missing: ops.test installs it"
        pytest.skip("no soffice: apt install libreoffice-writer-nogui libreoffice-calc-nogui libreoffice-impress-nogui")
    return write_every_type(tmp_path_factory.mktemp("types"))


def test_every_type_is_read_and_opens_at_its_place(
    chat: Chat, page: Page, reading: Site, model: Endpoint, endpoint: WrittenEndpoint, files: list[Path]
) -> None:
    Endpoint.objects.filter(pk=model.pk).update(context_length=60_000)
    endpoint.answers[QUESTION] = "Fish " + " ".join(f"[{number}]" for number in range(1, 100)) + "."
    tray = Tray(page)
    page.locator("[data-composer] [data-file-input]").set_input_files([str(path) for path in files])
    for path in files:
        expect(tray.chip(path.name)).to_have_attribute("data-state", "ready", timeout=120_000)
    chat.ask(QUESTION)
    expect(chat.answers.last).to_have_attribute("data-status", "finished", timeout=60_000)
    chat.wait_for_check()
    opened = {}
    for button in chat.text().get_by_role("button").all():
        button.click()
        source = page.locator(f"{PANEL} [data-source]")
        name = button.get_attribute("aria-label") or ""
        title = next(path.name for path in files if path.name in name)
        expect(source).to_have_attribute("data-title", title)
        kind = source.get_attribute("data-source-kind")
        place = page.locator(PANEL).locator(".place" if kind in ("page", "region") else ".source__hit").first
        if kind != "region" or page.locator(f"{PANEL} [data-picture]").count():
            expect(place).to_be_visible(timeout=20_000)
        text = page.locator(PANEL).inner_text() if kind not in ("page", "region") else "fish"
        opened[title] = opened.get(title, "") + text.casefold()
    assert sorted(opened) == sorted(path.name for path in files)
    assert [name for name, text in opened.items() if "fish" not in text] == []
