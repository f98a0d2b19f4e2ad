"""The team in a browser's hands: invited by a link, suspended while a page is open, put into groups, gone."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.chat import Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site

WIDTHS = {390: 844, 1280: 800}


@pytest.fixture
def keeper(site: Site) -> Person:
    return Person.new("Olga", role="owner")


@pytest.fixture
def desk(browser: Browser, site: Site, keeper: Person) -> Iterator[Page]:
    """The owner's page."""
    context = browser.new_context(base_url=site.url, locale="en-US", viewport={"width": 1280, "height": 900})
    context.add_cookies([keeper.cookie(site.url)])
    yield context.new_page()
    context.close()


@pytest.fixture
def stranger(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=site.url, locale="en-US", viewport={"width": 1280, "height": 900})
    yield context
    context.close()


def invite(desk: Page, note: str) -> str:
    desk.goto("/people")
    desk.get_by_text("Invite somebody").click()
    desk.get_by_label("For whom").fill(note)
    desk.get_by_role("button", name="Make a link").click()
    return desk.get_by_label("Invitation link").input_value()


def test_a_stranger_joins_by_a_link_and_is_suspended_while_chatting(
    desk: Page, stranger: BrowserContext, model: object
) -> None:
    link = invite(desk, "Nina of the harbour")
    desk.get_by_role("button", name="Copy").click()
    expect(desk.get_by_role("button", name="Copied")).to_be_visible()
    page = stranger.new_page()
    page.goto(link)
    expect(page.get_by_text("Olga has invited you")).to_be_visible()
    page.get_by_label("Name").fill("Nina")
    page.get_by_label("Email").fill(f"nina.{link[-8:].lower().strip('-_')}@example.org")
    page.get_by_label("New password").fill("quite another phrase")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_label("Your question")).to_be_visible()

    desk.goto("/people")
    row = desk.locator("li", has_text="Nina of the harbour")
    expect(row).to_contain_text("1 of 1 used")
    row.get_by_role("link", name="Nina").click()
    desk.get_by_role("button", name="Suspend").click()
    expect(desk.get_by_role("status").first).to_contain_text("Nina is suspended")
    expect(page.get_by_text("You are signed out.").first).to_be_visible()
    page.goto("/")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.goto(link)
    expect(page.get_by_text("not there", exact=False).first).to_be_visible()


@pytest.mark.parametrize(
    ("width", "scheme", "locale"),
    [
        (390, "light", "en-US"),
        (390, "dark", "de-DE"),
        (390, "light", "zh-CN"),
        (1280, "dark", "en-US"),
        (1280, "light", "de-DE"),
    ],
)
def test_pages_of_the_team_look_right(
    browser: Browser, site: Site, keeper: Person, width: int, scheme: str, locale: str
) -> None:
    from chatapp.accounts.models import Group, User
    from chatapp.people import invitations

    olga = User.objects.get(pk=keeper.id)
    nina = User.objects.get(pk=Person.new("Nina Maria von der Wasserkante", role="guest").id)
    gone = User.objects.get(pk=Person.new("Ben", role="admin").id)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    group, _made = Group.objects.get_or_create(name="Pilots of the outer harbour")
    group.members.set([nina, gone])
    invitations.make(olga, role="member", days=7, max_uses=20, note="Summer school", group=group)
    revoked = invitations.make(olga, role="guest", days=7, max_uses=1)
    invitations.revoke(olga, revoked.invitation.pk)
    made = invitations.make(olga, role="member", days=7, max_uses=1)
    context = browser.new_context(
        base_url=site.url,
        locale=locale,
        viewport={"width": width, "height": WIDTHS[width]},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(f"/join/{made.token}")
    shoot(page, f"join-{width}-{scheme}-{locale}")
    context.add_cookies([keeper.cookie(site.url)])
    page.goto("/people")
    page.locator("details > summary").click()
    shoot(page, f"people-{width}-{scheme}-{locale}")
    for path, name in (
        (f"/people/{nina.pk}", "person"),
        (f"/people/{gone.pk}", "suspended"),
        (f"/people/{nina.pk}/remove", "remove"),
        (f"/people/groups/{group.pk}", "group"),
        ("/account/leave", "leave"),
        ("/account", "account"),
        ("/account/codes", "codes"),
    ):
        page.goto(path)
        shoot(page, f"{name}-{width}-{scheme}-{locale}")
    context.close()


def shoot(page: Page, name: str) -> None:
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, f"{name} is wider than the window"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
