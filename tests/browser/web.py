"""The internet of browser tests: the small web on a loopback port, and the team's SearXNG beside its sites.

The engine answers every query with `urls`; `hold()` keeps pages back until `let_go()`, so that a test can watch.
"""

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from PIL import Image, ImageDraw
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.search.web.articles import articles
from tests.search.web.small_web import SITE, SmallWeb

PATIENCE_S = 20.0


class Internet:
    def __init__(self, web: SmallWeb) -> None:
        self.web = web
        self.queries: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.urls: list[str] = []
        self.is_down = False
        self._held: dict[tuple[str, str], threading.Event] = {}
        self._num_tests = 0
        self.engine_url = ""
        web.add(SITE, "/favicon.ico", _icon(), "image/png")

    def clear(self) -> None:
        """Every test has an engine of its own: what another has answered is remembered for a while."""
        self._num_tests += 1
        self.engine_url = f"http://127.0.0.1:{self.web.port}/{self._num_tests}"
        self.web.pages["127.0.0.1", f"/{self._num_tests}/search"] = self._answer
        self.let_go()
        self.queries.clear()
        self.failures.clear()
        self.is_down = False
        self.urls = [self.web.url(SITE, article.path) for article in articles()[:8]]

    def hold(self, *paths: str) -> None:
        """Pages of the town's site wait for `let_go`."""
        for path in paths:
            if (SITE, path) not in self._held:
                gate = self._held[SITE, path] = threading.Event()
                self.web.pages[SITE, path] = _gated(self.web.pages[SITE, path], gate)
            self._held[SITE, path].clear()

    def let_go(self, *paths: str) -> None:
        for (_site, path), gate in self._held.items():
            if not paths or path in paths:
                gate.set()

    async def _answer(self, request: Request) -> Response:
        self.queries.append(request.query_params["q"])
        if self.is_down:
            return Response("overloaded", 503)
        results = [
            {"url": url, "title": f"About {url.rsplit('/', 1)[1]}", "content": "", "engine": "e"} for url in self.urls
        ]
        return JSONResponse({"results": results, "unresponsive_engines": self.failures})


def _icon() -> bytes:
    """A ring of the town's blue."""
    picture = Image.new("RGBA", (32, 32))
    ImageDraw.Draw(picture).ellipse((3, 3, 28, 28), outline=(30, 90, 160), width=7)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _gated(reply: Callable[[Request], Awaitable[Response]], gate: threading.Event) -> Callable[[Request], Any]:
    async def wait(request: Request) -> Response:
        await asyncio.to_thread(gate.wait, PATIENCE_S)
        return await reply(request)

    return wait
