"""Fetching from the small web: what is read, and every way a page can fail to be."""

import asyncio
import time
from dataclasses import replace

import pytest

from search.web.fetching import USER_AGENT, Fetched, Fetcher, Limits
from search.web.guard import Guard
from search.web.robots import RobotsCache
from search.web.unread import Fault, Unread
from tests.search.web.listening import Listener
from tests.search.web.small_web import PACKED, SITE, TRAPS, SmallWeb

LIMITS = Limits(page_s=2.0, robots_s=1.0)


async def fetch(web: SmallWeb, host: str, path: str, limits: Limits = LIMITS) -> Fetched:
    async with Fetcher(Guard(web.resolver, web.exceptions), limits) as fetcher:
        return await fetcher.fetch(web.url(host, path))


async def fault_of(web: SmallWeb, host: str, path: str, limits: Limits = LIMITS) -> tuple[Fault, int | None]:
    with pytest.raises(Unread) as unread:
        await fetch(web, host, path, limits)
    return unread.value.fault, unread.value.status


async def test_a_page_comes_with_its_address_and_kind(web: SmallWeb) -> None:
    page = await fetch(web, SITE, "/en/0")
    assert (page.url, page.media_type, page.is_cut) == (web.url(SITE, "/en/0"), "text/html", False)
    assert b"harbour station" in page.content


async def test_it_says_who_asks_and_keeps_no_cookie(web: SmallWeb) -> None:
    web.add("cookies.test", "/a", "<p>one</p>", set_cookie="id=1; Path=/")
    async with Fetcher(Guard(web.resolver, web.exceptions)) as fetcher:
        await fetcher.fetch(web.url("cookies.test", "/a"))
        await fetcher.fetch(web.url("cookies.test", "/a"))
    assert {headers["user-agent"] for headers in web.headers} == {USER_AGENT}
    assert not any("cookie" in headers for headers in web.headers)


@pytest.mark.parametrize("name", PACKED)
async def test_a_packed_page_is_unpacked(name: str, web: SmallWeb) -> None:
    assert "Eisenbrücke" in (await fetch(web, "packed.test", f"/{name}")).content.decode()


async def test_redirects_are_followed_from_site_to_site(web: SmallWeb) -> None:
    assert (await fetch(web, "old.test", "/one")).url == web.url(SITE, "/en/0")


@pytest.mark.parametrize("path", ["/round", "/chain/0"])
async def test_too_many_redirects_are_an_end(path: str, web: SmallWeb) -> None:
    assert await fault_of(web, "old.test", path) == ("too_many_redirects", None)


@pytest.mark.parametrize(
    ("path", "fault", "status"),
    [
        ("/404", "status", 404),
        ("/403", "status", 403),
        ("/500", "status", 500),
        ("/missing", "status", 404),
        ("/image", "media_type", None),
        ("/binary", "media_type", None),
        ("/empty", "empty", None),
        ("/broken", "broken", None),
        ("/twice", "broken", None),
        ("/fake.pdf", "broken", None),
        ("/huge.pdf", "too_large", None),
        ("/drip", "timeout", None),
        ("/never", "timeout", None),
        ("/to-loopback", "address", None),
        ("/to-metadata", "address", None),
        ("/to-file", "scheme", None),
    ],
)
async def test_each_trap_has_its_reason(path: str, fault: Fault, status: int | None, web: SmallWeb) -> None:
    assert await fault_of(web, TRAPS, path) == (fault, status)


@pytest.mark.parametrize("path", ["/paper.pdf", "/unsaid.pdf"])
async def test_a_pdf_is_known_by_its_bytes(path: str, web: SmallWeb) -> None:
    assert (await fetch(web, TRAPS, path)).media_type == "application/pdf"


@pytest.mark.parametrize("path", ["/endless", "/bomb/gzip", "/bomb/br", "/bomb/zstd"])
async def test_an_endless_page_is_cut_at_the_limit_of_what_comes_out(path: str, web: SmallWeb) -> None:
    async with Fetcher(Guard(web.resolver, web.exceptions), replace(LIMITS, page_s=10)) as fetcher:
        try:
            page = await fetcher.fetch(web.url(TRAPS, path))
        except Unread as unread:
            assert unread.fault == "media_type"  # it began with zeros
            return
    assert page.is_cut and len(page.content) == LIMITS.max_bytes


@pytest.mark.parametrize(
    ("host", "path"), [("closed.test", "/page"), ("partly.test", "/private/page"), ("failing.test", "/page")]
)
async def test_what_a_site_forbids_is_not_asked_for(host: str, path: str, web: SmallWeb) -> None:
    assert await fault_of(web, host, path) == ("robots", None)
    assert web.asked == [(host, "/robots.txt")]


async def test_a_site_may_allow_us_by_name(web: SmallWeb) -> None:
    assert b"politely" in (await fetch(web, "partly.test", "/page")).content


async def test_rules_that_moved_are_followed(web: SmallWeb) -> None:
    assert await fault_of(web, "moved.test", "/page") == ("robots", None)


async def test_rules_are_asked_for_once_and_remembered_beyond_a_search(web: SmallWeb) -> None:
    rules = RobotsCache()
    for _ in range(2):
        async with Fetcher(Guard(web.resolver, web.exceptions), rules=rules) as fetcher:
            await asyncio.gather(*(fetcher.fetch(web.url(SITE, f"/en/{number}")) for number in range(4)))
    assert web.asked.count((SITE, "/robots.txt")) == 1
    assert len(web.asked) == 9


async def test_one_site_is_not_asked_for_everything_at_once(web: SmallWeb) -> None:
    async with Fetcher(Guard(web.resolver, web.exceptions), LIMITS) as fetcher:
        await asyncio.gather(*(fetcher.fetch(web.url(SITE, f"/de/{number}")) for number in range(12)))
    assert 1 <= web.most_at_once[SITE] <= LIMITS.max_parallel_per_host


async def test_a_server_that_is_away_is_unreachable(web: SmallWeb) -> None:
    with Listener() as gone:
        port = gone.port
    async with Fetcher(Guard(web.resolver, frozenset({("127.0.0.1", port)})), LIMITS) as fetcher:
        with pytest.raises(Unread, match="unreachable"):
            await fetcher.fetch(f"http://gone.test:{port}/")


async def test_a_redirect_to_a_name_of_ours_reaches_nobody(web: SmallWeb) -> None:
    with Listener() as listener:
        guard = Guard(web.resolver, web.exceptions, ports=frozenset({80, 443, listener.port}))
        for target in (f"http://127.0.0.1:{listener.port}/", f"http://inner.test:{listener.port}/"):
            web.redirect(TRAPS, "/to-name", target)
            async with Fetcher(guard, LIMITS) as fetcher:
                with pytest.raises(Unread, match="address"):
                    await fetcher.fetch(web.url(TRAPS, "/to-name"))
        assert listener.num_connections == 0


async def test_cancelling_ends_at_once(web: SmallWeb) -> None:
    async with Fetcher(Guard(web.resolver, web.exceptions)) as fetcher:
        task = asyncio.create_task(fetcher.fetch(web.url(TRAPS, "/never")))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert time.monotonic() - began < 5
