"""A small web on one loopback port: many sites by their names, articles in five languages, encodings and traps.

`with SmallWeb() as web:` then `web.url("talmar.test", "/en/0")`. Give a guard `web.resolver` and `web.exceptions`.
"""

import asyncio
import gzip
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import brotli
import uvicorn
import zstandard
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.search.web.articles import articles

Reply = Callable[[Request], Awaitable[Response]]
SITE = "talmar.test"
TRAPS = "traps.test"
# Each says its encoding in another way: by header, by meta tag, by byte order mark, or not at all.
ENCODINGS = [
    ("de", "windows-1252", "header"), ("de", "iso-8859-1", "meta"), ("de", "iso-8859-15", "header"),
    ("fr", "windows-1252", "meta"), ("fr", "utf-16", "mark"), ("fr", "utf-8-sig", "mark"), ("fr", "utf-8", "none"),
    ("zh", "gb2312", "header"), ("zh", "gbk", "meta"), ("zh", "gb18030", "header"), ("zh", "utf-8", "none"),
    ("ja", "shift_jis", "header"), ("ja", "euc-jp", "meta"), ("ja", "iso-2022-jp", "header"), ("ja", "utf-8", "none"),
]  # fmt: skip
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial(gzip.compress, compresslevel=6),
    "br": partial(brotli.compress, quality=5),
    "zstd": zstandard.ZstdCompressor().compress,
}


@dataclass(slots=True)
class SmallWeb:
    pages: dict[tuple[str, str], Reply] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    most_at_once: Counter[str] = field(default_factory=Counter)
    _open: Counter[str] = field(default_factory=Counter)
    _socket: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        for article in articles():
            self.add(SITE, article.path, article.html())
        _add_encodings(self)
        _add_redirects(self)
        _add_traps(self)
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._server and self._thread
        self._server.should_exit = True
        self._thread.join(10)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def exceptions(self) -> frozenset[tuple[str, int]]:
        return frozenset({("127.0.0.1", self.port)})

    async def resolver(self, host: str, port: int) -> Sequence[str]:
        if not host.endswith(".test"):
            raise OSError("no such name")
        return ["127.0.0.1"]

    def url(self, host: str, path: str) -> str:
        return f"http://{host}:{self.port}{path}"

    def add(self, host: str, path: str, body: bytes | str, media_type: str = "text/html", **headers: str) -> None:
        content = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def reply(request: Request) -> Response:
            return Response(content, headers={"content-type": media_type, **named})

        self.pages[host, path] = reply

    def redirect(self, host: str, path: str, target: str) -> None:
        self.pages[host, path] = _redirect(target)

    async def _answer(self, request: Request) -> Response:
        host, path = request.headers["host"].split(":")[0], request.url.path
        self.asked.append((host, path))
        self.headers.append(dict(request.headers))
        self._open[host] += 1
        self.most_at_once[host] = max(self.most_at_once[host], self._open[host])
        try:
            reply = self.pages.get((host, path))
            return await reply(request) if reply else Response("no such page", 404)
        finally:
            self._open[host] -= 1


def _add_encodings(web: SmallWeb) -> None:
    found = {(article.language, article.number): article for article in articles()}
    for number, (language, charset, said) in enumerate(ENCODINGS):
        body = found[language, number % 12].html(charset, says_charset=said == "meta")
        media_type = f"text/html; charset={charset}" if said == "header" else "text/html"
        web.add("encodings.test", f"/{number}", body, media_type)
    for name, pack in PACKED.items():
        web.add("packed.test", f"/{name}", pack(found["de", 1].html()), content_encoding=name)


def _redirect(target: str) -> Reply:
    async def reply(request: Request) -> Response:
        return RedirectResponse(target, 302)

    return reply


def _add_redirects(web: SmallWeb) -> None:
    web.pages["old.test", "/one"] = _redirect("/two")
    web.pages["old.test", "/two"] = _redirect(web.url("older.test", "/three"))
    web.pages["older.test", "/three"] = _redirect(web.url(SITE, "/en/0"))
    web.pages["old.test", "/round"] = _redirect("/round")
    for number in range(9):
        web.pages["old.test", f"/chain/{number}"] = _redirect(f"/chain/{number + 1}")


def _endless(piece: bytes, pause_s: float) -> Reply:
    async def reply(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            while True:
                yield piece
                await asyncio.sleep(pause_s)

        return StreamingResponse(body(), media_type="text/html")

    return reply


def _status(code: int) -> Reply:
    async def reply(request: Request) -> Response:
        return Response("<html><body><p>An error page of some length.</p></body></html>", code, media_type="text/html")

    return reply


async def _never(request: Request) -> Response:
    await asyncio.sleep(30)
    return Response("late")


BOMB = bytes(40_000_000)
SHELL = """<html><head><title>App</title></head><body><div id="root"></div><noscript>You need to enable JavaScript to
    run this app.</noscript><script src="/app.js"></script></body></html>"""
WALL = """<html><head><title>Before you continue</title></head><body><h1>Before you continue</h1><p>We use cookies.
    Accept all cookies to go on.</p><button>Accept all</button></body></html>"""


def _add_traps(web: SmallWeb) -> None:
    web.pages[TRAPS, "/endless"] = _endless(b"<p>More and more and more of the same words.</p>" * 500, 0)
    web.pages[TRAPS, "/drip"] = _endless(b"<", 0.2)
    web.pages[TRAPS, "/never"] = _never
    for name, pack in PACKED.items():
        web.add(TRAPS, f"/bomb/{name}", pack(BOMB), content_encoding=name)
    web.add(TRAPS, "/broken", b"\x1f\x8bthis is no gzip", content_encoding="gzip")
    web.add(TRAPS, "/twice", gzip.compress(gzip.compress(b"<p>x</p>")), content_encoding="gzip, gzip")
    web.add(TRAPS, "/shell", SHELL)
    web.add(TRAPS, "/wall", WALL)
    web.add(TRAPS, "/empty", "")
    web.add(TRAPS, "/blank", "<html><body><div></div></body></html>")
    web.add(TRAPS, "/image", b"\x89PNG\r\n\x1a\n", "image/png")
    web.add(TRAPS, "/binary", b"\x00\x01\x02" * 100, "application/octet-stream")
    web.add(TRAPS, "/fake.pdf", b"<html>not a pdf</html>", "application/pdf")
    web.add(TRAPS, "/paper.pdf", b"%PDF-1.7 the bytes of a paper", "application/pdf")
    web.add(TRAPS, "/unsaid.pdf", b"%PDF-1.7 the bytes of a paper", "application/octet-stream")
    web.add(TRAPS, "/huge.pdf", b"%PDF-1.7" + bytes(21 * 1024**2), "application/pdf")
    web.add(
        TRAPS, "/notes.txt", "Notes\n=====\n\nThe tide turns at four.\n\nBring a lamp.", "text/plain; charset=utf-8"
    )
    web.add(TRAPS, "/deep", "<div>" * 5000 + "deep" + "</div>" * 5000)
    web.pages[TRAPS, "/404"] = _status(404)
    web.pages[TRAPS, "/403"] = _status(403)
    web.pages[TRAPS, "/500"] = _status(500)
    web.pages[TRAPS, "/to-loopback"] = _redirect("http://127.0.0.1:80/")
    web.pages[TRAPS, "/to-metadata"] = _redirect("http://169.254.169.254/latest/meta-data/")
    web.pages[TRAPS, "/to-file"] = _redirect("file:///etc/passwd")
    web.add("closed.test", "/robots.txt", "User-agent: *\nDisallow: /", "text/plain")
    web.add("closed.test", "/page", "<p>Not for programs.</p>")
    web.add(
        "partly.test",
        "/robots.txt",
        "User-agent: sonde\nDisallow: /private\n\nUser-agent: *\nDisallow: /",
        "text/plain",
    )
    web.add("partly.test", "/private/page", "<p>Not for us.</p>")
    web.add("partly.test", "/page", "<h1>Open</h1><p>This one is for everybody who asks politely.</p>")
    web.pages["failing.test", "/robots.txt"] = _status(503)
    web.add("failing.test", "/page", "<p>The rules cannot be asked for.</p>")
    web.pages["moved.test", "/robots.txt"] = _redirect(web.url("closed.test", "/robots.txt"))
    web.add("moved.test", "/page", "<p>Its rules are elsewhere.</p>")
