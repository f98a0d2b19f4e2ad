"""Pictures of sites: fetched once through the guard, drawn anew, and none where a site sends anything else."""

import asyncio
import io
from collections.abc import Callable

import pytest
from PIL import Image

from chatapp.searches.icons import SIZE, drawn, fetch_icons
from chatapp.searches.models import SiteIcon
from search.web.fetching import Fetcher
from search.web.page import About, Page
from tests.web_fixtures import SearchedWeb

pytestmark = pytest.mark.django_db(transaction=True)

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"><script>alert(1)</script></svg>'


def picture(format: str, size: tuple[int, int] = (48, 24)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, format)
    return out.getvalue()


def fetch(web: SearchedWeb, *pages: Page) -> None:
    async def run() -> None:
        async with Fetcher(web.guard) as fetcher:
            await fetch_icons(fetcher, pages)

    asyncio.run(run())


def page(web: SearchedWeb, host: str, icon: str | None = None) -> Page:
    return Page(web.web.url(host, "/some/page"), About(icon=icon), ())


@pytest.mark.parametrize("format", ["PNG", "ICO", "GIF", "JPEG", "WEBP"])
def test_a_picture_is_drawn_anew_small_and_square(format: str) -> None:
    with Image.open(io.BytesIO(drawn(picture(format)))) as icon:
        assert (icon.format, icon.size) == ("PNG", (SIZE, SIZE))
        assert icon.convert("RGBA").getpixel((SIZE // 2, SIZE // 2))[2] > 100  # type: ignore[index]


@pytest.mark.parametrize(
    "content",
    [SVG, b"", b"\x89PNG\r\n\x1a\n" + b"x" * 50, picture("PNG")[:60], picture("PNG", (2000, 8)), picture("TIFF")],
    ids=["svg", "empty", "broken", "cut", "large", "tiff"],
)
def test_anything_else_is_no_picture(content: bytes) -> None:
    assert drawn(content) == b""


def test_a_site_is_asked_once_for_what_its_page_names_or_the_usual_place(searched: SearchedWeb) -> None:
    searched.web.add("named.test", "/logo.png", picture("PNG"), "image/png")
    searched.web.add("usual.test", "/favicon.ico", picture("ICO"), "image/x-icon")
    pages = [page(searched, "named.test", searched.web.url("named.test", "/logo.png"))]
    pages += [page(searched, "www.usual.test"), page(searched, "nothing.test")]
    searched.web.add("www.usual.test", "/favicon.ico", picture("ICO"), "image/x-icon")
    for _ in range(2):
        fetch(searched, *pages)
    kept = {icon.host: bytes(icon.png) for icon in SiteIcon.objects.all()}
    assert kept.keys() == {"named.test", "usual.test", "nothing.test"}
    assert kept["named.test"].startswith(b"\x89PNG") and kept["usual.test"] and kept["nothing.test"] == b""
    asked = [path for _, path in searched.web.asked if path != "/robots.txt"]
    assert sorted(asked) == ["/favicon.ico", "/favicon.ico", "/logo.png"]


@pytest.mark.parametrize(
    "icon",
    [
        lambda web: "http://127.0.0.1:80/icon.png",
        lambda web: web.web.url("closed.test", "/icon.png"),
        lambda web: web.web.url("big.test", "/icon.png"),
    ],
    ids=["inside", "robots", "too large"],
)
def test_what_may_not_be_asked_is_no_picture_either(icon: Callable[[SearchedWeb], str], searched: SearchedWeb) -> None:
    searched.web.add("closed.test", "/icon.png", picture("PNG"), "image/png")
    searched.web.add("big.test", "/icon.png", picture("PNG") + bytes(200_000), "image/png")
    fetch(searched, page(searched, "site.test", icon(searched)))
    assert bytes(SiteIcon.objects.get().png) == b""
    assert ("closed.test", "/icon.png") not in searched.web.asked
