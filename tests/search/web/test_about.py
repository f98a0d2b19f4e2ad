"""Where a page says that the small picture of its site is."""

import pytest

from search.web.about import read_about

URL = "https://a.test/some/page"


@pytest.mark.parametrize(
    ("head", "icon"),
    [
        ('<link rel="icon" href="/icon.png">', "https://a.test/icon.png"),
        ('<link rel="shortcut icon" href="fav.ico">', "https://a.test/some/fav.ico"),
        (
            '<link rel="icon" type="image/svg+xml" href="/a"><link rel="icon" href="/b.svg">'
            '<link rel="icon" href="//cdn.test/c.png">',
            "https://cdn.test/c.png",
        ),
        ('<link rel="icon" href="data:image/png;base64,AAAA"><link rel="apple-touch-icon" href="/touch.png">', None),
        ('<link rel="icon" href="javascript:alert(1)">', None),
        ('<link rel="icon">', None),
        ("", None),
    ],
)
def test_the_first_that_is_made_of_points(head: str, icon: str | None) -> None:
    assert read_about(f"<html><head>{head}</head><body>text</body></html>", URL).icon == icon
