"""The step that searches the web for an answer: writes the queries, begins the searches, waits for them, tells of them.

It waits on rows: a worker does the searching (chatapp.searches). Whatever comes of it, the answer goes on.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

from chatapp.answers.asides import Asides
from chatapp.answers.claimed import Claimed
from chatapp.answers.events import Wire
from chatapp.answers.gathering import holding
from chatapp.answers.held import DATABASE_AWAY, Stopped
from chatapp.answers.loading import Loaded
from chatapp.answers.to_search import ToSearch, to_search
from chatapp.context.queries import asked_for_queries, queries_in
from chatapp.endpoints.dialects import Question
from chatapp.endpoints.faults import EndpointError
from chatapp.endpoints.models import Endpoint
from chatapp.searches import life
from chatapp.searches.life import Asked
from chatapp.searches.models import Search, SearchState
from chatapp.threads import in_thread
from search.web.keywords import write_query

logger = logging.getLogger(__name__)

SEEN_EVERY_S = 0.2
QUERIES_S = 15.0  # after which they are written by rules
QUERY_TOKENS, THINKING_TOKENS = 150, 2_000  # for a model that thinks whatever it is asked


class Searching:
    """Of one claimed answer."""

    def __init__(self, claimed: Claimed, asides: Asides) -> None:
        self._claimed = claimed
        self._asides = asides

    async def search(self, loaded: Loaded) -> None:
        """Those that an earlier runner has begun are gone on with."""
        wanted = await self._claimed.patiently(in_thread, to_search, loaded)
        if wanted is None:
            return
        searches = wanted.begun or await self._begin(wanted)
        await self.watch(searches)
        for code, params in await self._claimed.patiently(in_thread, notices_of, searches):
            await self._claimed.notice_if_new(code, params)

    async def watch(self, searches: Collection[UUID]) -> None:
        """Until all have ended. Whoever is stopped for good calls them off: nobody will read them."""
        told: dict[UUID, int] = {}
        try:
            while True:
                seen = await self._claimed.patiently(in_thread, life.look, searches)
                for each in seen:
                    if told.get(each.id) != each.changes:
                        told[each.id] = each.changes
                        await self._claimed.tell("searching", {"search": str(each.id), "change": each.changes})
                if not any(each.is_open for each in seen):
                    return
                await self._claimed.pause(SEEN_EVERY_S)
        except Stopped:
            if self._claimed.stop_reason == "cancel":
                with suppress(*DATABASE_AWAY):
                    await in_thread(life.cancel, searches)
            raise

    async def _begin(self, wanted: ToSearch) -> Sequence[UUID]:
        asked = [Asked(wanted.question, urls=wanted.urls)] if wanted.urls else []
        if wanted.wants_queries:
            queries, tokens = await self._queries(wanted)
            # "And the second one?" says nothing by itself; what was asked for it does.
            question = wanted.question if wanted.is_telling else " ".join([wanted.question, *queries])
            asked.append(Asked(question, tuple(queries), tokens=tokens))
        begin = partial(_begin_all, self._claimed, asked, is_proposed=wanted.is_confirmed)
        return await self._claimed.patiently(in_thread, begin)

    async def _queries(self, wanted: ToSearch) -> tuple[list[str], tuple[int, int]]:
        """By the model, or by rules where it cannot, or will not in time."""
        by_rules = write_query(wanted.question, wanted.earlier, wanted.today)
        if wanted.endpoint.is_local:
            return [by_rules], (0, 0)
        messages = asked_for_queries(wanted.turns, wanted.today.isoformat())
        question = Question(messages, _longest(wanted.endpoint), seed=wanted.seed, user=wanted.user)
        try:
            async with asyncio.timeout(QUERIES_S):
                text, usage = await self._asides.ask_once(wanted.target, question, wanted.endpoint)
        except (EndpointError, TimeoutError) as error:
            logger.info("answer %s: queries by rules: %s", self._claimed.claim.answer_id, type(error).__name__)
            return [by_rules], (0, 0)
        count = wanted.counter.count
        estimate = (sum(count(message.content) for message in messages), count(text))
        spent = (usage.prompt_tokens, usage.completion_tokens) if usage else estimate
        return queries_in(text) or [by_rules], spent


def notices_of(searches: Collection[UUID]) -> list[tuple[str, Wire]]:
    """What became of them, in the order in which they were begun."""
    notices: list[tuple[str, Wire]] = []
    for search in Search.objects.filter(pk__in=searches):
        notices += _notices(search)
    return notices


def _notices(search: Search) -> list[tuple[str, Wire]]:
    if search.state == SearchState.CANCELLED:
        return [("search_skipped", {})]
    if search.state != SearchState.DONE:
        return [("search_late", {})]
    failures = [failure for query in search.progress["queries"] for failure in query["failures"]]
    failed = {(failure["engine"], failure["code"]): None for failure in failures}
    notices: list[tuple[str, Wire]] = [("search_failed", {"engine": engine, "code": code}) for engine, code in failed]
    num_pages = search.pages.count()
    if num_pages:
        return [("search_done", {"pages": num_pages, "queries": len(search.queries)}), *notices]
    is_silent = bool(failed) and not any(query["num"] for query in search.progress["queries"])
    return notices if is_silent else [*notices, ("search_nothing", {})]


def _begin_all(claimed: Claimed, asked: Sequence[Asked], *, is_proposed: bool) -> list[UUID]:
    """Addresses that a person has given need nobody's consent. Raises FencedOut."""
    claim = claimed.claim
    with holding(claim):
        return [life.begin(claim.answer_id, each, is_proposed=is_proposed and not each.urls) for each in asked]


def _longest(endpoint: Endpoint) -> int:
    return THINKING_TOKENS if endpoint.thinking == Endpoint.Thinking.ALWAYS else QUERY_TOKENS
