"""Keys of pages: alike for one page, different for two."""

import pytest

from search.web.canonical import page_key


@pytest.mark.parametrize(
    "url",
    ["http://example.org/a", "https://www.example.org/a/", "https://EXAMPLE.org/a#part", "https://example.org:443/a"]
    + ["https://example.org/a?utm_source=x&utm_medium=y", "https://example.org/a?fbclid=1", "https://example.org./a"]
    + ["https://example.org/a/index.html"],
)
def test_one_page_has_one_key(url: str) -> None:
    assert page_key(url) == "example.org/a"


def test_the_order_of_a_query_does_not_matter_and_its_values_do() -> None:
    assert page_key("https://a.test/?x=1&y=2") == page_key("https://a.test/?y=2&x=1") != page_key("https://a.test/?x=2")


@pytest.mark.parametrize(
    "url",
    ["https://a.test/b", "https://a.test/A", "https://m.a.test/a", "https://a.test:8080/a", "https://a.test/a?p=2"],
)
def test_another_page_has_another_key(url: str) -> None:
    assert page_key(url) != page_key("https://a.test/a")


def test_what_is_no_address_is_its_own_key() -> None:
    assert page_key("nothing") == "nothing"
