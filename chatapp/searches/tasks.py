"""Celery tasks of the web, queue `search`. Thin, and safe to run twice."""

import asyncio
import logging
import time
from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_shutting_down

from chatapp.searches import life, running
from chatapp.searches.engines import engine_of
from chatapp.searches.models import WebSetting
from chatapp.searches.setting import chosen_engine, web_setting
from chatapp.searches.trials import SHOWN, store_report, wanted_query
from search.web.languages import language_of
from search.web.providers.provider import Query, Results

logger = logging.getLogger(__name__)


@shared_task(name=life.RUN_SEARCH)
def run_search(search_id: str) -> None:
    """Somebody waits for it; whoever comes second, or too late, finds nothing to claim."""
    claimed = life.claim(UUID(search_id))
    if claimed is not None:
        asyncio.run(running.run_claimed(claimed))


@worker_shutting_down.connect
def give_back(**_facts: Any) -> None:
    """A worker that is asked to stop does not wait for slow pages: the next one begins the search anew."""
    running.stopping.set()


@shared_task(name="chatapp.searches.tasks.sweep_searches")
def sweep_searches() -> None:
    """Twice a minute, queue `default`: those that nobody waits for any more."""
    life.sweep()


@shared_task(name="chatapp.searches.tasks.try_engine")
def try_engine(trial: str) -> None:
    query, setting = wanted_query(trial), web_setting()
    if not query or not setting.is_on:
        return
    began = time.monotonic()
    results = asyncio.run(_try(setting, query))
    ms = round(1000 * (time.monotonic() - began))
    logger.info(
        "engine %s tried results=%d failures=%d %dms",
        chosen_engine(setting),
        len(results.results),
        len(results.failures),
        ms,
    )
    store_report(trial, _report(setting, query, results, ms))


async def _try(setting: WebSetting, query: str) -> Results:
    async with engine_of(setting) as provider:  # nothing remembered: it is to be asked now
        return await provider.search(Query(query, language_of(query)))


def _report(setting: WebSetting, query: str, results: Results, ms: int) -> dict[str, Any]:
    return {
        "query": query,
        "engine": chosen_engine(setting),
        "ms": ms,
        "num": len(results.results),
        "results": [
            {"title": each.title, "url": each.url, "snippet": each.snippet} for each in results.results[:SHOWN]
        ],
        "failures": [{"engine": f.engine, "code": f.code, "detail": f.detail} for f in results.failures],
    }
