"""The door in a real browser: a passkey by Chromium's own virtual device, codes of an app, and how it looks."""

import re
from collections.abc import Iterator

import httpx
import oidc_provider_mock
import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, expect

from ops.environment import free_ports
from ops.services import Services
from tests.browser.chat import Person
from tests.browser.conftest import SCREENSHOTS
from tests.browser.site import Site

PASSWORD = "a plain long password"


@pytest.fixture
def home(site: Site) -> str:
    """The site by a name: a bare address has no passkeys."""
    return site.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def browsing(browser: Browser, home: str) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=home, locale="en-US", viewport={"width": 1280, "height": 900})
    yield context
    context.close()


def plug_in_device(page: Page) -> CDPSession:
    """A device with a fingerprint reader, as a laptop or a phone has one."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return devtools


def new_email() -> str:
    """Of a person whose password the site can check: tests hash quickly, and the site does not accept that."""
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    from chatapp.accounts.models import User

    user = User.objects.get(pk=Person.new("Ana").id)
    user.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt")
    user.save()
    return user.email


def sign_in(page: Page, email: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_a_passkey_is_added_and_signs_in_alone(browsing: BrowserContext, site: Site, home: str, model: object) -> None:
    page = browsing.new_page()
    plug_in_device(page)
    sign_in(page, new_email())
    expect(page.get_by_label("Your question")).to_be_visible()
    page.goto("/account")
    page.get_by_label("Name of the passkey").fill("Laptop")
    passkeys = page.get_by_role("region", name="Passkeys")
    passkeys.get_by_label("Password").fill("guess")
    passkeys.get_by_role("button", name="Add a passkey").click()
    expect(passkeys.get_by_role("alert")).to_contain_text("not your current password")
    passkeys.get_by_label("Password").fill(PASSWORD)
    passkeys.get_by_role("button", name="Add a passkey").click()
    expect(passkeys.get_by_role("listitem")).to_contain_text("Laptop")
    expect(page.get_by_role("status").first).to_contain_text("signs you in from now on")
    page.get_by_role("button", name="Sign out").click()
    page.goto("/sign-in?next=/files")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(f"{home}/files")
    page.goto("/account")
    expect(passkeys.get_by_role("listitem")).to_contain_text("last used")
    passkeys.get_by_role("button", name="Delete: Laptop").click()
    expect(passkeys.get_by_role("listitem")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("was not accepted")
    expect(page).to_have_url(re.compile("/sign-in"))


def test_a_second_step_is_set_up_and_asked_for(browsing: BrowserContext, site: Site, model: object) -> None:
    page, email = browsing.new_page(), new_email()
    sign_in(page, email)
    expect(page.get_by_label("Your question")).to_be_visible()
    page.goto("/account")
    page.get_by_role("link", name="Set it up").click()
    picture = page.get_by_role("img", name="QR code for the app")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 50")
    totp = pyotp.TOTP(page.locator(".code-secret").inner_text())
    shoot(page, "codes-set-up")
    page.get_by_label("The six digits that it shows").fill(totp.now())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Switch it on").click()
    expect(page.locator(".recovery li")).to_have_count(10)
    recovery = page.locator(".recovery li").first.inner_text()
    shoot(page, "codes-recovery")
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("10 recovery codes are left.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, email)
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    page.goto("/")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.goto("/sign-in/code")
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("This code is wrong")).to_be_visible()
    shoot(page, "codes-wrong")
    page.get_by_label("Code").fill(recovery)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Your question")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_door_and_account_look_right(browser: Browser, site: Site, home: str, width: int, scheme: str) -> None:
    context = browser.new_context(
        base_url=home,
        locale="en-US",
        viewport={"width": width, "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto("/sign-in")
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
    shoot(page, f"door-{width}-{scheme}")
    context.add_cookies([Person.new("Ana").cookie(home)])
    page.goto("/account")
    expect(page.get_by_role("button", name="Add a passkey")).to_be_visible()
    shoot(page, f"account-whole-{width}-{scheme}")
    context.close()


def shoot(page: Page, name: str) -> None:
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, f"{name} is wider than the window"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def test_a_person_signs_in_with_openid_connect(browser: Browser, services: Services, site: Site) -> None:
    """The content policy lets the browser go there and back; its forms could not."""
    from chatapp.accounts.models import User

    with oidc_provider_mock.run_server_in_thread() as provider:
        issuer = f"http://localhost:{provider.server_port}"
        email = new_email()
        httpx.put(f"{issuer}/users/ana", json={"email": email, "email_verified": True}).raise_for_status()
        settings = {
            "SONDE_OIDC_ISSUER": issuer,
            "SONDE_OIDC_CLIENT_ID": "sonde",
            "SONDE_OIDC_CLIENT_SECRET": "secret",
            "SONDE_OIDC_NAME": "Harbour office",
        }
        other = Site({**services.env, **settings}, free_ports(1)[0], services.data / "logs-oidc")
        (services.data / "logs-oidc").mkdir(exist_ok=True)
        other.start_web()
        try:
            other.wait_until_ready()
            context = browser.new_context(base_url=other.url, locale="en-US", viewport={"width": 390, "height": 844})
            page = context.new_page()
            page.goto("/sign-in?next=/files")
            shoot(page, "door-oidc")
            page.get_by_role("link", name="Sign in with Harbour office").click()
            expect(page).to_have_url(re.compile(f"^{issuer}"))
            page.get_by_role("button", name="Deny").click()
            expect(page.get_by_role("status").first).to_contain_text("Signing in there did not work.")
            page.goto("/sign-in?next=/files")
            page.get_by_role("link", name="Sign in with Harbour office").click()
            page.locator("input[name=sub]").fill("ana")
            page.get_by_role("button", name="Authorize").click()
            expect(page).to_have_url(f"{other.url}/files")
            page.goto("/account")
            expect(page.get_by_text("You can sign in with Harbour office.")).to_be_visible()
            context.close()
        finally:
            other.stop()
    assert User.objects.get(email=email).identities.count() == 1
