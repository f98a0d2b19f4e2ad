"""The small web as the internet of a story, the team's engine on it, and a worker that searches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from search.web.guard import Guard
from tests.search.web.articles import articles
from tests.search.web.small_web import SITE, SmallWeb
from tests.working import working


class SearchedWeb:
    """A SearXNG that answers every query with `urls`; `queries` are those that reached it."""

    def __init__(self, web: SmallWeb) -> None:
        self.web = web
        self.queries: list[str] = []
        self.languages: list[str] = []
        self.urls = self.articles(8)
        self.failures: list[tuple[str, str]] = []
        self.is_broken = False
        self.engine_url = f"http://127.0.0.1:{web.port}"
        web.asked.clear()
        web.pages["127.0.0.1", "/search"] = self._answer

    @property
    def guard(self) -> Guard:
        return Guard(self.web.resolver, self.web.exceptions)

    def articles(self, num: int) -> list[str]:
        """The first is the one about the harbour station."""
        return [self.web.url(SITE, article.path) for article in articles()[:num]]

    def pages_asked(self) -> list[str]:
        return [path for host, path in self.web.asked if host == SITE and path not in ("/robots.txt", "/favicon.ico")]

    async def _answer(self, request: Request) -> Response:
        self.queries.append(request.query_params["q"])
        self.languages.append(request.query_params["language"])
        if self.is_broken:
            return Response("overloaded", 503)
        results = [{"url": url, "title": "T", "content": "c", "engine": "e"} for url in self.urls]
        return JSONResponse({"results": results, "unresponsive_engines": self.failures})


@pytest.fixture(scope="session")
def small_web() -> Iterator[SmallWeb]:
    with SmallWeb() as web:
        yield web


@pytest.fixture
def searched(small_web: SmallWeb, settings: Any, db: None) -> SearchedWeb:
    from django.core.cache import caches

    from chatapp.searches.models import WebSetting

    web = SearchedWeb(small_web)
    settings.WEB_GUARD = web.guard
    WebSetting.objects.create(engine=WebSetting.Engine.SEARXNG, engine_url=web.engine_url)
    caches["default"].clear()
    return web


@contextmanager
def searching(but: Sequence[str] = ()) -> Iterator[None]:
    """A worker of queue `search` for the time of the block; it leaves searches of these queries alone."""
    from chatapp.searches.models import Search
    from chatapp.searches.tasks import run_search

    def step() -> None:
        for search in Search.objects.filter(state="queued").exclude(queries__overlap=list(but) or [""]):
            run_search(str(search.pk))

    with working(step):
        yield
