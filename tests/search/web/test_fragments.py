"""Text fragments: what a browser looks for in the live page."""

# ruff: noqa: E501 - fragments are one long word

from urllib.parse import quote

import pytest

from search.web.fragments import fragment, live_link


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("A short line.", "text=A%20short%20line."),
        ("one two three four five six seven eight nine ten eleven twelve", "text=one%20two%20three%20four%20five,eight%20nine%20ten%20eleven%20twelve"),
        ("well-known, and more", "text=well%2Dknown%2C%20and%20more"),
        ("- first item of many\n- second item of many", "text=first%20item%20of%20many,second%20item%20of%20many"),
        ("Year\tCost\n1911\t4.2", "text=Year,4.2"),
    ],
)  # fmt: skip
def test_ends_of_the_text_are_quoted(text: str, expected: str) -> None:
    assert fragment(text) == expected


def test_a_text_without_spaces_is_quoted_by_its_characters() -> None:
    expected = f"text={quote('港口泵站由工程师于一')},{quote('成它耗资二百万克朗。')}"
    assert fragment("港口泵站由工程师于一九一一年建成它耗资二百万克朗。") == expected


def test_a_link_to_the_live_page_keeps_no_other_fragment() -> None:
    assert live_link("https://a.test/x?y#top", "text=word") == "https://a.test/x?y#:~:text=word"
    assert live_link("https://a.test/x", "") == "https://a.test/x"
