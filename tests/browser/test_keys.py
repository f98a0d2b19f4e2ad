"""A key as a person makes it, and a program that uses it at the same site."""

from typing import Any, Literal

import openai
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site


def test_a_key_is_made_used_and_ended(chat: Chat, page: Page, site: Site, model: Any) -> None:
    page.goto("/account")
    page.get_by_role("link", name="API keys").click()
    page.get_by_role("textbox", name="Name").fill("Night report")
    page.get_by_text("Limits of this key").click()
    page.get_by_label("Tokens a day").fill("100000")
    page.get_by_role("button", name="Make the key").click()
    secret = page.get_by_label("API key", exact=True).input_value()
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key=secret, max_retries=0, timeout=60) as program:
        question = [{"role": "user", "content": "What is a fathom?"}]
        stream = program.chat.completions.create(model="plain", messages=question, stream=True)  # type: ignore
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        page.get_by_role("link", name="API keys").click()
        expect(page.get_by_text("last used 0 minutes ago")).to_be_visible()
        page.get_by_role("link", name="Night report").click()
        expect(page.get_by_text("of 100,000 tokens")).to_be_visible()
        page.get_by_role("button", name="End the key").click()
        expect(page.get_by_text("The key “Night report” opens nothing any more.")).to_be_visible()
        with pytest.raises(openai.AuthenticationError):
            program.models.list()
    page.goto("/usage?by=key")
    expect(page.locator("[data-line^='Night report']")).to_be_visible()


@pytest.mark.parametrize("width", (390, 1280))
@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_keys_look_right(
    browser: Browser, site: Site, model: Any, width: int, scheme: Literal["light", "dark"]
) -> None:
    from chatapp.accounts.models import Role, User
    from chatapp.programs.keys import Scope, make

    person = Person.new("Olga", role=Role.OWNER)
    owner = User.objects.get(pk=person.id)
    make(owner, "A script with a long name that fills its line to the very end, and more", Scope(["chat"], [model.pk]))
    key = make(owner, "Night report", Scope(limits={"tokens_a_day": 5000, "money_a_month": 2})).key
    context = browser.new_context(
        base_url=site.url, locale="en-US", viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    context.add_cookies([person.cookie(site.url)])
    page = context.new_page()
    for name, url in (("keys", "/account/keys"), ("key", f"/account/keys/{key.pk}"), ("team-keys", "/people/keys")):
        page.goto(url)
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, url
    page.goto("/account/keys")
    page.get_by_role("textbox", name="Name").fill("Night report")
    page.get_by_role("button", name="Make the key").click()
    page.screenshot(path=SCREENSHOTS / f"key-made-{width}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    context.close()
