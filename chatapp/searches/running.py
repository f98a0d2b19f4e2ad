"""One claimed search from its queries, or its addresses, to its end. For workers: here the house asks the web."""

import asyncio
import logging
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial

from django.conf import settings
from django.core.cache import caches
from django.db import InterfaceError, OperationalError

from chatapp.ending import end_tasks
from chatapp.searches import life
from chatapp.searches.engines import engine_of
from chatapp.searches.found import found_of, pages_of
from chatapp.searches.icons import fetch_icons
from chatapp.searches.models import Search, WebSetting
from chatapp.searches.pdf import read_pdf
from chatapp.searches.progress import Watched
from chatapp.searches.setting import web_setting
from chatapp.threads import in_thread
from search.configured import configured_encoder
from search.web.events import Done, Event
from search.web.fetching import Fetcher
from search.web.guard import Guard
from search.web.languages import language_of
from search.web.page import Page
from search.web.robots import RobotsCache
from search.web.session import Budget, Tools, read_urls, read_web

logger = logging.getLogger(__name__)

TOLD_EVERY_S = 0.25

stopping = threading.Event()  # this worker has been asked to end
_robots = RobotsCache()


class Lost(Exception):
    """The search was cancelled, or is another worker's: nothing more is to be written."""


async def run_claimed(search: Search) -> None:
    """Ends it, whatever the web does."""
    began = time.monotonic()
    setting = await in_thread(web_setting)
    if not setting.is_on:  # switched off since it was asked for
        await in_thread(life.cancel, [search.pk])
        return
    try:
        async with AsyncExitStack() as stack:
            tools = await _tools(search, setting, stack)
            pages = await _search(search, tools)
            await fetch_icons(tools.fetcher, pages)
    except Lost:
        await in_thread(life.release, search)  # of no effect where somebody else has ended it
        logger.info("search %s given up %.2fs", search.pk, time.monotonic() - began)
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        logger.error("search %s failed: %s at %s:%s", search.pk, type(error).__name__, at.filename, at.lineno)
        await in_thread(life.fail, search)


async def _search(search: Search, tools: Tools) -> Sequence[Page]:
    """Returns the pages that were read, once their search has ended."""
    began, watched = time.monotonic(), Watched()
    reading = asyncio.create_task(_done(search, tools, watched))
    try:
        await _tell_until(reading, search, watched)
        done = reading.result()
    finally:
        await end_tasks(reading)
    found = await asyncio.to_thread(found_of, done, is_named=bool(search.urls))
    pages = pages_of(search, done.pages)
    await in_thread(partial(life.end, search, watched.tell(), found, pages))
    logger.info(
        "search %s queries=%d urls=%d pages=%d passages=%d %.2fs",
        search.pk,
        len(search.queries),
        len(search.urls),
        len(pages),
        len(found),
        time.monotonic() - began,
    )
    return done.pages


async def _done(search: Search, tools: Tools, watched: Watched) -> Done:
    async with aclosing(_events(search, tools)) as events:
        async for event in events:
            watched.take(event)
            if isinstance(event, Done):
                return event
    raise AssertionError("a search tells its end")


def _events(search: Search, tools: Tools) -> AsyncGenerator[Event]:
    budget = Budget(max_pages=search.max_pages)
    if search.urls:
        return read_urls(search.question, search.urls, tools, budget)
    return read_web(search.question, search.queries, tools, budget)


async def _tell_until(reading: asyncio.Task[Done], search: Search, watched: Watched) -> None:
    """Tells what has changed, and that this worker lives. Raises Lost."""
    renewed_at = time.monotonic()
    while not reading.done():
        await asyncio.wait({reading}, timeout=TOLD_EVERY_S)
        if stopping.is_set():
            raise Lost
        if not watched.is_new and time.monotonic() - renewed_at < life.RENEW_S:
            continue
        try:
            is_held = await in_thread(life.renew, search, watched.tell() if watched.is_new else None)
        except (OperationalError, InterfaceError) as error:
            logger.warning("search %s not renewed: %s", search.pk, type(error).__name__)
            continue
        if not is_held:
            raise Lost
        renewed_at = time.monotonic()


async def _tools(search: Search, setting: WebSetting, stack: AsyncExitStack) -> Tools:
    guard: Guard = settings.WEB_GUARD or Guard()
    provider = await stack.enter_async_context(engine_of(setting, caches["default"], resolver=guard.resolver))
    fetcher = await stack.enter_async_context(Fetcher(guard, rules=_robots, languages=_languages(search.question)))
    return Tools(provider, fetcher, read_pdf, configured_encoder())


def _languages(question: str) -> str:
    """What a site is told of the reader: the language of the question, as far as it is known."""
    language = language_of(question)
    return f"{language}, en;q=0.5, *;q=0.3" if language and language != "en" else "en, *;q=0.5"
