"""What was spent, as a person sees it: a quota that stops an answer, and the page that adds it up."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chat import Chat, Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site


def test_an_answered_question_is_on_the_page_of_usage(chat: Chat, page: Page, model: Any) -> None:
    model.price_output = Decimal(2)
    model.save()
    chat.open()
    chat.ask("What is a fathom?")
    chat.wait_for_end()
    page.get_by_role("button", name="Menu of Ana").click()
    page.get_by_role("menuitem", name="Usage").click()
    expect(page.get_by_role("heading", name="Usage", level=1)).to_be_visible()
    requests = re.compile("1|2")  # the title may have been asked for by now
    expect(page.locator("[data-sum=requests]")).to_have_text(requests)
    expect(page.locator("[data-line='Scripted model'] td").first).to_have_text(requests)
    expect(page.locator("[data-sum=cost]")).not_to_have_text("US$ 0.0000")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert "Scripted model" in download.value.path().read_text()


def test_a_used_up_quota_is_said_and_the_question_is_kept(chat: Chat, page: Page, person: Person, model: Any) -> None:
    from chatapp.usage.models import Quota

    quota = Quota.objects.create(user_id=person.id, tokens_a_day=0)
    chat.open()
    chat.field.fill("What is a fathom?")
    chat.field.press("Enter")
    expect(page.get_by_text("Not sent: What you may spend in a day is used up")).to_be_visible()
    expect(page.get_by_text("What is a fathom?")).to_be_visible()
    quota.delete()


@pytest.mark.parametrize("width", (390, 1280))
@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_usage_looks_right(
    browser: Browser, site: Site, model: Any, width: int, scheme: Literal["light", "dark"]
) -> None:
    from chatapp.accounts.models import Role, User
    from chatapp.usage.models import Quota, Spending

    User.objects.filter(role=Role.OWNER).delete()
    person = Person.new("Olga", role=Role.OWNER)
    Quota.objects.update_or_create(user_id=person.id, defaults={"tokens_a_month": 2_000_000})
    for day in range(30):
        Spending.objects.create(
            kind="answer",
            user_id=person.id,
            endpoint_name=("DeepSeek V3.2-Exp", "SmolLM2 135M")[day % 3 == 0],
            model="x",
            began_at=datetime.now(UTC) - timedelta(days=day),
            cache_hit_tokens=9_000 * (day * 7 % 11),
            cache_miss_tokens=4_000 * (day * 5 % 7),
            output_tokens=3_000 * (day * 3 % 5),
            is_estimated=day == 4,
            cost=Decimal("0.0123") * day,
            cost_uncached=Decimal("0.04") * day,
            cost_dense=Decimal("0.03") * day,
        )
    context = browser.new_context(
        base_url=site.url, locale="en-US", viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    context.add_cookies([person.cookie(site.url)])
    page = context.new_page()
    for name, url in (("usage", "/usage"), ("usage-team", "/usage/team?by=person"), ("quotas", "/settings/quotas")):
        page.goto(url)
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, url
    context.close()
