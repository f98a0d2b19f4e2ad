"""What a page says to a model: only its visible words. No link, image, mark or token of it stays alive."""

import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.web.html import read_html
from search.web.untrusted import fenced, visible
from tests.search.web.injections import INJECTIONS, VISIBLE, Injection

URL = "http://ferry.test/times"


def read(injection: Injection) -> str:
    page = read_html(injection.html, URL)
    return "\n".join([page.about.title, *(block.text for block in page.blocks)])


def test_there_are_many() -> None:
    assert len({injection.name for injection in INJECTIONS}) == len(INJECTIONS) >= 30


@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda injection: injection.name)
def test_what_no_reader_sees_is_not_read(injection: Injection) -> None:
    text = read(injection)
    assert VISIBLE in text
    assert all(part in injection.html for part in injection.hidden)  # it was there
    assert not [part for part in injection.hidden if part in text]


@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda injection: injection.name)
def test_nothing_stays_alive_in_what_a_model_is_shown(injection: Injection) -> None:
    text = read(injection)
    shown = fenced(text)
    assert VISIBLE in shown
    assert not [part for part in injection.live if part in shown]


@pytest.mark.parametrize("injection", [i for i in INJECTIONS if i.live], ids=lambda injection: injection.name)
def test_what_is_alive_in_the_page_is_there_before(injection: Injection) -> None:
    assert any(part in read(injection) for part in injection.live)


def test_a_page_does_not_speak_for_another_site() -> None:
    bank = next(injection for injection in INJECTIONS if injection.name == "canonical of a bank")
    assert read_html(bank.html, URL).about.canonical is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("See [the docs](https://example.org/a?b=c) now.", "See the docs now."),
        ("See https://example.org/a/b?q=1#x.", "See example.org/a/b"),
        ("curl https://api.example.org/v1/things", "curl api.example.org/v1/things"),
        ("An array a[i] and a list [x, y].", "An array a[i] and a list [x, y]."),
        ("As shown [12], and by others [3, 4].", "As shown (12), and by others (3, 4)."),
        ("if a < b and c > d", "if a < b and c > d"),
        ("```python\nprint(1)\n```", "'''python\nprint(1)\n'''"),
        ("Note: the data is here", "Note: the data is here"),
    ],
)
def test_plain_words_stay_words(text: str, shown: str) -> None:
    assert fenced(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Größe, naïve café",
        "漢字とかな、カナ。",
        "한국어",
        "עברית",
        "👩‍👩‍👧 ✌️ 1️⃣",
        "می‌خواهم",
        "क्‍ष",
        "x² ≤ y → z",
        "e\u0301",
    ],
)
def test_what_people_write_stays(text: str) -> None:
    assert visible(text) == unicodedata.normalize("NFC", text)


def test_decoration_that_covers_lines_is_shortened() -> None:
    assert visible("a" + "\u0301" * 60 + "b") == visible("a" + "\u0301" * 5 + "b")


_PIECES = [
    "![a](",
    "[x](",
    ")",
    "]",
    "[",
    "<|",
    "|>",
    "im_start",
    "http://",
    "e.test/?q=1",
    "<b>",
    "</",
    "```",
    "[1]",
    "x ",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join))
def test_whatever_is_put_together_stays_dead(text: str) -> None:
    shown = fenced(text)
    assert not re.search(r"!\[[^\]\n]*\]\(|\[[^\]\n]+\]\([^)\n]*\)|<\|[^<>\n]*\|>|\bhttp://\w|```|\[\d\]", shown)


@given(st.text(max_size=200))
def test_taking_out_twice_takes_out_no_more(text: str) -> None:
    once = visible(text)
    assert visible(once) == once


@pytest.mark.parametrize(
    "text", ["[" * 50_000, "![" * 30_000, "<" * 50_000, "<a " * 30_000, "[a](" * 20_000, "<!--" * 20_000]
)
def test_a_page_made_to_be_slow_is_not(text: str) -> None:
    began = time.process_time()
    fenced(text)
    assert time.process_time() - began < 5
