"""Addresses found in what people write."""

import pytest

from search.web.mentioned import MAX_URLS, urls_in, without_urls


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("What does https://example.org/a?b=c say?", ["https://example.org/a?b=c"]),
        ("See (https://example.org/a_(b)), please.", ["https://example.org/a_(b)"]),
        ("**https://example.org/a**, [x](https://example.org/b).", ["https://example.org/a", "https://example.org/b"]),
        ("HTTP://EXAMPLE.org and http://example.org/", ["http://example.org"]),
        ("请总结https://example.org/a。谢谢", ["https://example.org/a"]),
        ("https://example.org/aを読んで", ["https://example.org/a"]),
        ("https://例え.jp", []),
        ("http://127.1/ http://me:pw@example.org/ ftp://example.org/ http:// https://...", []),
        ("no address, example.org is only a name", []),
    ],
)
def test_an_address_is_found_without_what_stands_around_it(text: str, urls: list[str]) -> None:
    assert urls_in(text) == urls


def test_a_list_of_links_is_not_a_question() -> None:
    assert len(urls_in(" ".join(f"https://example.org/{number}" for number in range(20)))) == MAX_URLS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("What does https://a.test/x?y=1 say of tides?", "What does say of tides?"),
        ("Sum up (https://a.test/x), please.", "Sum up (), please."),
        ("https://a.test/x https://b.test/", ""),
        ("请总结https://a.test/x。谢谢", "请总结。谢谢"),
        ("No address at all", "No address at all"),
    ],
)
def test_what_else_is_said(text: str, said: str) -> None:
    assert without_urls(text) == said
