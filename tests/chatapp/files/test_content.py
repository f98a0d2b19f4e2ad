"""The bytes of a file over real HTTP: ranges, what may be shown, what never runs."""

import os
from collections.abc import Iterator

import httpx
import pytest
from django.conf import settings as django_settings

from chatapp.accounts.models import User
from chatapp.files.content import Span, Unsatisfiable, parse_range
from tests.file_fixtures import LINE, give
from tests.live_site import LiveSite
from tests.site_fixtures import signed_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]


@pytest.fixture
def browser(member: User, live_site: LiveSite) -> Iterator[httpx.Client]:
    cookie = signed_in(member).cookies[django_settings.SESSION_COOKIE_NAME].value
    with httpx.Client(base_url=live_site.url, cookies={django_settings.SESSION_COOKIE_NAME: cookie}) as client:
        yield client


def test_file_comes_back_as_it_was_given(browser: httpx.Client, member: User) -> None:
    data = os.urandom(3 * 1024 * 1024 + 7)
    upload = give(member, b"%PDF-1.7\n" + data, "tide table 表.pdf")
    response = browser.get(f"/files/{upload.pk}/content")
    assert response.content == b"%PDF-1.7\n" + data
    assert response.headers["content-type"] == "application/pdf"
    assert response.headers["content-length"] == str(len(data) + 9)
    assert response.headers["content-disposition"] == "inline; filename*=UTF-8''tide%20table%20%E8%A1%A8.pdf"
    assert response.headers["accept-ranges"] == "bytes"


def test_pdf_js_may_ask_for_any_part(browser: httpx.Client, member: User) -> None:
    data = b"%PDF-1.7\n" + os.urandom(700_000)
    url = f"/files/{give(member, data, 'a.pdf').pk}/content"
    part = browser.get(url, headers={"range": "bytes=65536-131071"})
    assert (part.status_code, part.content) == (206, data[65536:131072])
    assert part.headers["content-range"] == f"bytes 65536-131071/{len(data)}"
    assert browser.get(url, headers={"range": "bytes=-10"}).content == data[-10:]
    beyond = browser.get(url, headers={"range": f"bytes={len(data)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(data)}")
    assert browser.get(url, headers={"range": "bytes=0-1,5-6"}).status_code == 200
    tagged = {"range": "bytes=0-3", "if-range": '"of another version"'}
    assert browser.get(url, headers=tagged).status_code == 200


def test_bytes_known_to_the_browser_are_not_sent_again_but_the_right_is_asked(
    browser: httpx.Client, member: User
) -> None:
    url = f"/files/{give(member).pk}/content"
    first = browser.get(url)
    assert first.headers["cache-control"] == "private, no-cache"
    again = browser.get(url, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    browser.cookies.clear()
    assert browser.get(url, headers={"if-none-match": first.headers["etag"]}).status_code == 401


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("page.html", b"<script>alert(1)</script>"),
        ("picture.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("tides.txt", LINE),
    ],
)
def test_what_could_run_is_only_ever_saved(browser: httpx.Client, member: User, name: str, data: bytes) -> None:
    response = browser.get(f"/files/{give(member, data, name).pk}/content")
    assert response.content == data
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"].startswith("attachment;")


@pytest.mark.parametrize("name", ["a.pdf", "a.html"])
def test_every_file_is_in_a_sandbox_and_never_guessed_at(browser: httpx.Client, member: User, name: str) -> None:
    data = b"%PDF-1.7\n" if name.endswith("pdf") else LINE
    response = browser.get(f"/files/{give(member, data, name).pk}/content")
    assert response.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert "script-src" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cross-origin-resource-policy"] == "same-origin"


def test_unfinished_upload_has_no_content(browser: httpx.Client, member: User) -> None:
    from uploads.services import begin

    assert browser.get(f"/files/{begin(member.pk, 'a.txt', 9).pk}/content").status_code == 404


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", Span(0, 0)),
        ("bytes=5-", Span(5, 9)),
        ("bytes=5-99", Span(5, 9)),
        ("bytes=-3", Span(7, 9)),
        ("bytes=-99", Span(0, 9)),
        ("bytes=7-3", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("lines=1-2", None),
        ("bytes=0-1,3-4", None),
        ("", None),
    ],
)
def test_ranges_of_ten_bytes(header: str, expected: Span | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_range_behind_the_end_is_refused(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, 10)
