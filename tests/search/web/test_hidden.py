"""Hidden elements go; what is shown, and what only a script or a screen's width hides, stays."""

import lxml.html
import pytest

from search.web.hidden import remove_hidden


def shown(body: str, styles: str = "") -> str:
    tree = lxml.html.document_fromstring(f"<html><head><style>{styles}</style></head><body>{body}</body></html>")
    remove_hidden(tree)
    return " ".join(tree.text_content().replace(styles, "").split())


def test_what_follows_a_hidden_element_stays() -> None:
    assert shown('one <b style="display:none">two</b> three <!-- four --> five') == "one three five"


@pytest.mark.parametrize(
    "style",
    ["display:block", "opacity:0.5", "opacity:1", "font-size:10px", "font-size:1.2em", "font-size:.9em", "color:#fff"]
    + ["color:#fff;background:#000", "left:-12px", "margin-left:-20px", "height:0.5em", "width:100%;overflow:hidden"]
    + ["max-height:400px; overflow:hidden", "visibility:visible", "line-height:0;color:red", "border-width:0"],
)
def test_a_style_that_hides_nothing_hides_nothing(style: str) -> None:
    assert shown(f'<p style="{style}">word</p>') == "word"


def test_a_rule_for_print_or_phones_hides_nothing() -> None:
    styles = "@media print { .a { display: none } .b { color: red } } @media (max-width: 9em) { .a { display:none } }"
    assert shown('<p class="a">word</p>', styles) == "word"


def test_a_rule_hides_by_class_and_by_id() -> None:
    styles = "/* .c {display:none} */ .a, #b { display: none } .c { color: red }"
    assert shown('<p class="x a">one</p><p id="b">two</p><p class="c">three, and a good deal more</p>', styles) == (
        "three, and a good deal more"
    )


def test_a_rule_that_hides_most_of_a_page_waits_for_a_script() -> None:
    assert shown('<div class="a">The whole text of the page.</div><p>ad</p>', ".a{opacity:0}") == (
        "The whole text of the page.ad"
    )
