"""URLs: read once, and refused where two programs might read them differently."""

import httpx
import pytest

from search.web.refused import Reason, Refused
from search.web.urls import parse_url, port_of, redirect_target


def test_a_plain_url_stays_as_it_is_and_loses_its_fragment() -> None:
    url = parse_url(" https://example.org:8443/a/b?q=1#part ")
    assert str(url) == "https://example.org:8443/a/b?q=1"
    assert port_of(url) == 8443


def test_an_international_name_becomes_its_ascii_form() -> None:
    assert parse_url("http://例え.jp/パス").raw_host == b"xn--r8jz45g.jp"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "scheme"),
        ("example.org", "scheme"),
        ("//example.org/", "scheme"),
        ("ftp://example.org/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://example.org:70/", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("http://me@example.org/", "credentials"),
        ("http://me:secret@example.org/", "credentials"),
        ("http://@example.org/", "credentials"),
        ("http://example.org\\@other.org/", "url"),
        ("http://exa mple.org/", "url"),
        ("http://example.org/a b", "url"),
        ("http://exam\tple.org/", "url"),
        ("http://example.org/\r\nHost: other", "url"),
        ("http://", "url"),
        ("http:///path", "url"),
        ("http:example.org", "url"),
        ("http://example.org:99999/", "port"),
        ("http://example.org:0/", "port"),
        ("http://example.org:80:80/", "url"),
        ("http://0x7f.1/", "url"),
        ("http://2130706433/", "url"),
        ("http://127.1/", "url"),
        ("http://0177.0.0.1/", "url"),
        ("http://127.0.0.1./", "url"),
        ("http://127%2e0%2e0%2e1/", "url"),
        ("http://①②⑦.⓪.⓪.①/", "url"),
        ("http://١٢٧.0.0.1/", "url"),
        ("http://[fe80::1%25eth0]/", "url"),
        ("http://[::1", "url"),
        ("http://-a.org/", "url"),
        ("http://a..org/", "url"),
        ("http://" + "a" * 64 + ".org/", "url"),
        ("http://example.org/" + "a" * 4096, "url"),
    ],
)
def test_what_is_no_plain_web_address_is_refused(text: str, reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        parse_url(text)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/b", "https://example.org/b"),
        ("b?q", "https://example.org/dir/b?q"),
        ("//other.org/x", "https://other.org/x"),
        ("http://other.org/#top", "http://other.org/"),
    ],
)
def test_a_redirect_is_read_against_the_page_that_sent_it(location: str, expected: str) -> None:
    assert str(redirect_target(httpx.URL("https://example.org/dir/a"), location)) == expected


@pytest.mark.parametrize("location", ["javascript:alert(1)", "http://a@b.org/", "/\\other.org", "http://[", "\x00"])
def test_a_redirect_to_what_is_no_web_address_is_refused(location: str) -> None:
    with pytest.raises(Refused):
        redirect_target(httpx.URL("https://example.org/dir/a"), location)
