"""What is done before an answer is asked for, and for the model's calls: each a step that waits on database state.

A step that fails or is late leaves a notice, and the answer goes on without it.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from uuid import UUID

from chatapp.answers.asides import Asides
from chatapp.answers.claimed import Claimed
from chatapp.answers.deep import begin_call, store_found, store_refusal
from chatapp.answers.held import DATABASE_AWAY, Stopped
from chatapp.answers.loading import Loaded
from chatapp.answers.long_reading import save_note
from chatapp.answers.patience import Patience
from chatapp.answers.prepared import Prepared
from chatapp.answers.questions import long_reading, spreadsheets
from chatapp.answers.rounds import WEB_TOOLS, CallMade, Wanted, WebWanted, call_key, next_call, wanted, wanted_of_web
from chatapp.answers.searching import Searching
from chatapp.answers.sources import count_moving
from chatapp.answers.tables import Described, Spreadsheet, store_result
from chatapp.endpoints.client import EndpointClient
from chatapp.threads import in_thread
from uploads import computations
from uploads.computing.answer import Refusal, Tables
from uploads.computing.codec import Answer as Outcome

logger = logging.getLogger(__name__)

FILES_S = 900.0  # a reading ends by itself long before, or its worker has died more often than it is tried
FILES_EVERY_S = 0.4
COMPUTED_EVERY_S = 0.2  # a computation ends by itself, late at the latest


class Steps:
    """Of one claimed answer."""

    def __init__(self, claimed: Claimed, client: EndpointClient, patience: Patience) -> None:
        self._claimed = claimed
        self._asides = Asides(claimed, client, patience)
        self._searching = Searching(claimed, self._asides)

    async def before_asking(self, loaded: Loaded) -> Loaded:
        """All that is waited for before the question is put together. Files are read while the web is searched."""
        await self._searching.search(loaded)
        await self._wait_for_files(loaded)
        await self._read_in_parts(loaded)
        return await self._look_at_tables(loaded)

    async def answer_calls(self, loaded: Loaded, prepared: Prepared) -> None:
        """Every call that the model waits for; those an earlier runner has answered are kept."""
        if next_call(prepared.rounds) is not None:
            await self._claimed.notice("computing", {"round": len(prepared.rounds)})
        while (call := next_call(prepared.rounds)) is not None:
            if "deep" in prepared.request and call["name"] in WEB_TOOLS:
                await self._search_for(call, loaded, prepared)
            else:
                await self._compute(call, prepared)
            loaded.progress.forget_passing()
            params = {"round": len(prepared.rounds), "call": len(prepared.rounds[-1]["results"])}
            await self._claimed.notice("computed", params)

    async def _wait_for_files(self, loaded: Loaded) -> None:
        """Until the files of the question are read. One that takes too long is left out, and a notice says so."""
        if loaded.request.get("parts") or loaded.answer.replay_of is not None or loaded.continues_message:
            return  # what is read was decided when it was first asked
        give_up = time.monotonic() + FILES_S
        while time.monotonic() < give_up:
            moving, total = await self._claimed.patiently(in_thread, count_moving, loaded.answer.message)
            if not moving:
                return
            await self._claimed.notice_if_new("waiting_for_files", {"done": total - moving, "total": total})
            await self._claimed.pause(FILES_EVERY_S)

    async def _read_in_parts(self, loaded: Loaded) -> None:
        """Asks for notes of every part of sources that are too long; those that a crash has left are kept."""
        patiently = self._claimed.patiently
        aside = await patiently(in_thread, long_reading, loaded)
        if aside is None:
            return
        while task := await patiently(in_thread, aside.reading.next_task):
            params = {"part": task.part, "parts": task.parts, "level": task.level}
            await self._claimed.notice("reading_in_parts", params)
            question = aside.question(task)
            text, usage = await self._asides.ask(aside.target, question, aside.endpoint)
            prompt_tokens = usage.prompt_tokens if usage else aside.reading.counter.count(task.question)
            completion_tokens = usage.completion_tokens if usage else aside.reading.counter.count(text)
            claim = self._claimed.claim
            save = partial(save_note, claim, loaded.answer, task, text, prompt_tokens, completion_tokens)
            await patiently(in_thread, save)

    async def _look_at_tables(self, loaded: Loaded) -> Loaded:
        """With what the spreadsheets hold, where the model may compute. One that tells it too late is left out."""
        described = []
        for sheet in await self._claimed.patiently(in_thread, spreadsheets, loaded):
            tables = await self._outcome_of(computations.begin_tables, sheet.reading_id)
            if isinstance(tables, Tables):
                described.append(Described(sheet, tables))
            else:
                await self._tell_left_out(sheet, tables)
        return replace(loaded, described=tuple(described))

    async def _tell_left_out(self, sheet: Spreadsheet, outcome: Outcome) -> None:
        code = outcome.code if isinstance(outcome, Refusal) else ""
        answer_id = self._claimed.claim.answer_id
        logger.info("answer %s cannot compute with reading %s: %s", answer_id, sheet.reading_id, code)
        await self._claimed.notice("tables_left_out", {"name": sheet.name})

    async def _search_for(self, call: CallMade, loaded: Loaded, prepared: Prepared) -> None:
        request, claim, patiently = prepared.request, self._claimed.claim, self._claimed.patiently
        search: UUID | str | WebWanted = wanted_of_web(call)
        if isinstance(search, WebWanted):
            key, deep = call_key(prepared.rounds), request["deep"]
            begin = partial(begin_call, claim, loaded.answer, key, search, deep, prepared.counter)
            search = await patiently(in_thread, begin)
        if isinstance(search, str):
            store = partial(store_refusal, claim, request, search)
        else:
            await self._searching.watch([search])
            store = partial(store_found, claim, request, search, prepared.counter)
        request["rounds"] = await patiently(in_thread, store)

    async def _compute(self, call: CallMade, prepared: Prepared) -> None:
        request, claim = prepared.request, self._claimed.claim
        query = wanted(call, prepared.rounds, request.get("tables", {}).get("files", []))
        if isinstance(query, Wanted):
            outcome = await self._outcome_of(computations.begin_query, UUID(query.file["reading"]), query.sql)
            store = partial(store_result, claim, request, query, outcome)
        else:
            store = partial(store_result, claim, request, None, Refusal("mistake", query))
        request["rounds"] = await self._claimed.patiently(in_thread, store)

    async def _outcome_of(self, begin: Callable[..., UUID], *args: object) -> Outcome:
        """A worker's answer. Whoever is stopped meanwhile calls the query off: nobody will read it."""
        computation = await self._claimed.patiently(in_thread, begin, *args)
        try:
            while (outcome := await self._claimed.patiently(in_thread, computations.outcome, computation)) is None:
                await self._claimed.pause(COMPUTED_EVERY_S)
        except Stopped:
            with suppress(*DATABASE_AWAY):
                await in_thread(computations.cancel, computation)
            raise
        return outcome
