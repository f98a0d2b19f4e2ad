"""Pages fetched: through the guard, within limits of time, bytes and redirects, where robots.txt allows.

Knows nothing of what is in a page. One Fetcher serves one search, in one event loop; what sites forbid is remembered
beyond it (RobotsCache).
"""

import asyncio
import codecs
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Literal, Self, TypeVar

import httpx

from search.web import robots
from search.web.guard import Guard
from search.web.refused import Refused
from search.web.robots import RobotsCache, Rules
from search.web.transport import GuardedTransport
from search.web.unpacking import ACCEPTED, unpacked
from search.web.unread import Unread
from search.web.urls import parse_url, redirect_target

T = TypeVar("T")
MediaType = Literal["text/html", "text/plain", "application/pdf"]

# It says who asks and why, so that a site can forbid it; a browser's name would be a lie.
USER_AGENT = f"{robots.NAME}/1.0 (self-hosted assistant; reads pages that a person searched for)"
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_PLAIN = frozenset({"text/plain", "text/markdown", "text/x-markdown", "text/x-rst", "text/asciidoc"})
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream", "text/plain"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SNIFFED = 512  # bytes that tell what a body is


@dataclass(frozen=True, slots=True)
class Limits:
    page_s: float = 6.0
    connect_s: float = 3.0
    robots_s: float = 2.0
    max_bytes: int = 2 * 1024**2  # of HTML or text, unpacked; the rest of a longer page is left out
    max_pdf_bytes: int = 20 * 1024**2
    max_icon_bytes: int = 128 * 1024
    max_redirects: int = 5
    max_parallel: int = 8
    max_parallel_per_host: int = 2


@dataclass(frozen=True, slots=True)
class Fetched:
    """`url` is where the redirects ended; `charset` what the server called it; `is_cut` where a limit ended it."""

    url: str
    media_type: MediaType
    charset: str | None
    content: bytes
    is_cut: bool = False


class Fetcher:
    """`async with Fetcher(Guard()) as fetcher: await fetcher.fetch(url)`. Raises nothing but Unread."""

    def __init__(
        self,
        guard: Guard,
        limits: Limits = Limits(),
        rules: RobotsCache | None = None,
        languages: str = "*",
        user_agent: str = USER_AGENT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits
        self._rules = rules if rules is not None else RobotsCache()
        self._all = asyncio.Semaphore(limits.max_parallel)
        self._hosts: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(limits.max_parallel_per_host)
        )
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._http = httpx.AsyncClient(
            transport=GuardedTransport(guard, max_connections=2 * limits.max_parallel, tls=tls),
            trust_env=False,
            timeout=httpx.Timeout(limits.page_s, connect=limits.connect_s),
            headers={
                "User-Agent": user_agent,
                "Accept": "text/html,application/xhtml+xml,text/plain;q=0.9,application/pdf;q=0.8",
                "Accept-Language": languages,
                "Accept-Encoding": ACCEPTED,
            },
        )
        # Nothing that one site sets is sent anywhere, not even back to it.
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def fetch(self, url: str) -> Fetched:
        """The page, or Unread with the reason."""
        return await self._ask(url, self._read)

    async def fetch_icon(self, url: str) -> bytes:
        """The bytes of a small picture, whatever they are; or Unread."""
        return await self._ask(url, self._read_icon)

    async def _ask(self, url: str, read: Callable[[httpx.URL, httpx.Response], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._limits.page_s):
                return await self._follow(parse_url(url), read)
        except TimeoutError as error:
            raise Unread("timeout") from error
        except Refused as error:
            raise Unread(error.reason) from error
        except httpx.TimeoutException as error:
            raise Unread("timeout") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unread("unreachable") from error

    async def _follow(self, url: httpx.URL, read: Callable[[httpx.URL, httpx.Response], Awaitable[T]]) -> T:
        for _ in range(self._limits.max_redirects + 1):
            await self._check_robots(url)
            async with self._get(url) as response:
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    return await read(url, response)
                url = redirect_target(url, response.headers["location"])
        raise Unread("too_many_redirects")

    @asynccontextmanager
    async def _get(self, url: httpx.URL) -> AsyncIterator[httpx.Response]:
        async with self._hosts[url.host], self._all, self._http.stream("GET", url) as response:
            yield response

    async def _read(self, url: httpx.URL, response: httpx.Response) -> Fetched:
        if not 200 <= response.status_code < 300:
            raise Unread("status", response.status_code)
        declared, charset = _content_type(response.headers.get("content-type", ""))
        if declared not in _HTML | _PLAIN | _UNSAID | {"application/pdf"}:
            raise Unread("media_type")
        limit = self._limits.max_pdf_bytes if declared == "application/pdf" else self._limits.max_bytes
        content, is_cut = await _body(response, limit)
        media_type = _media_type(declared, content)
        if is_cut and media_type == "application/pdf":
            raise Unread("too_large")
        if not content.strip():
            raise Unread("empty")
        return Fetched(str(url), media_type, charset, content, is_cut)

    async def _read_icon(self, url: httpx.URL, response: httpx.Response) -> bytes:
        if response.status_code != 200:
            raise Unread("status", response.status_code)
        content, is_cut = await _body(response, self._limits.max_icon_bytes)
        if is_cut:
            raise Unread("too_large")
        return content

    async def _check_robots(self, url: httpx.URL) -> None:
        site = f"{url.scheme}://{url.netloc.decode('ascii')}"
        async with self._asking[site]:
            rules = self._rules.get(site)
            if rules is None:
                rules = await self._ask_rules(url.copy_with(raw_path=b"/robots.txt"))
                self._rules.put(site, rules)
        if not rules.allow(str(url)):
            raise Unread("robots")

    async def _ask_rules(self, url: httpx.URL) -> Rules:
        """RFC 9309: a site without the file allows everything, one whose server fails nothing for now."""
        async with asyncio.timeout(self._limits.robots_s):
            for _ in range(self._limits.max_redirects + 1):
                async with self._get(url) as response:
                    if response.status_code in _REDIRECTS and "location" in response.headers:
                        url = redirect_target(url, response.headers["location"])
                        continue
                    if response.status_code >= 500 or response.status_code == 429:
                        return Rules(None)
                    if response.status_code != 200:
                        return Rules("")
                    content, _ = await _body(response, robots.MAX_BYTES)
                    return Rules(content.decode("utf-8", "replace"))
        return Rules("")


async def _body(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes, unpacked, and whether there were more. What is packed counts as well."""
    body = bytearray()
    num_packed = 0

    async def packed() -> AsyncIterator[bytes]:
        nonlocal num_packed
        async for chunk in response.aiter_raw():
            num_packed += len(chunk)
            yield chunk
            if num_packed > limit:
                return

    async for piece in unpacked(packed(), response.headers.get("content-encoding", "")):
        body += piece
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), num_packed > limit


def _content_type(header: str) -> tuple[str, str | None]:
    message = Message()
    message["content-type"] = header
    charset = message.get_param("charset")
    return (message.get_content_type() if header else ""), charset if isinstance(charset, str) else None


def _media_type(declared: str, content: bytes) -> MediaType:
    """By its first bytes where the server does not know, or says plain text of everything."""
    start = content[:_SNIFFED].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"%PDF-"):
        return "application/pdf"
    if declared == "application/pdf":
        raise Unread("broken")
    if declared in _HTML or (declared in _UNSAID and start.lower().startswith((b"<!doctype html", b"<html"))):
        return "text/html"
    if b"\0" not in content[:_SNIFFED] or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "text/plain"
    raise Unread("media_type")
