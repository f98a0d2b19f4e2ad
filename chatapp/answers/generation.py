"""The way of one claimed answer: take over what was shown, ask, show, end. No step here may end an answer twice.

The terminal commit comes before its event. What is done before asking stands in steps.py.
"""

import asyncio
import logging
import time
import traceback
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from uuid import UUID

from django.db import DatabaseError
from redis.exceptions import RedisError

from chatapp.answers.accounting import finished, question_now, tokens_shown, with_aside
from chatapp.answers.claimed import Claimed
from chatapp.answers.claims import Claim, release
from chatapp.answers.events import AnswerStarted, Delta, Part
from chatapp.answers.held import DATABASE_AWAY, Stopped, StopReason
from chatapp.answers.joining import joined
from chatapp.answers.loading import Loaded, load
from chatapp.answers.log import FencedOut
from chatapp.answers.models import Answer, Status
from chatapp.answers.patience import Patience, Tries
from chatapp.answers.prepared import CannotAnswer, Prepared
from chatapp.answers.progress import Progress
from chatapp.answers.questions import prepare, tell_rounds
from chatapp.answers.request import has_tools, to_json
from chatapp.answers.rounds import round_of
from chatapp.answers.services import emit_ended
from chatapp.answers.snapshots import Ending, end_answer, failed, save_request
from chatapp.answers.steps import Steps
from chatapp.conversations.tasks import ask_for_title
from chatapp.endpoints import deltas
from chatapp.endpoints.client import EndpointClient
from chatapp.endpoints.deltas import Completed
from chatapp.endpoints.dialects import Question
from chatapp.endpoints.faults import ContextFull, Dropped, EndpointError, RateLimited, Unreachable
from chatapp.endpoints.services import learn_characters_per_token
from chatapp.evidence.tasks import ask_for_check
from chatapp.searches.life import cancel_of
from chatapp.threads import in_thread
from chatapp.usage.metering import metered
from chatapp.usage.quotas import near_quota, output_allowed
from chatapp.usage.recording import Asked, Kind, begin, end_left_open, prices_of

logger = logging.getLogger(__name__)

UNSTORABLE = "The answer could not be stored."
PARAGRAPH = "\n\n"
PARTS: tuple[Part, ...] = ("text", "reasoning")
SHRINK = 0.6  # of a prompt that an endpoint finds too long: it counts more tokens than we do


class Generation(Claimed):
    """From the claim to the end."""

    def __init__(self, claim: Claim, client: EndpointClient, patience: Patience, claimed_at: float) -> None:
        super().__init__(claim, claimed_at)
        self._client = client
        self._patience = patience
        self._steps = Steps(self, client, patience)
        self._tries = 0
        self._round_tries = 0
        self._prepared: Prepared | None = None
        self._is_cancel_pending = False
        self._is_cut_by_quota = False
        self._started_at = time.monotonic()

    @property
    def id(self) -> UUID:
        return self.claim.answer_id

    def stop(self, reason: StopReason) -> None:
        """Cancelling waits until all that was ever shown is read back: it is kept."""
        if reason == "cancel" and self.progress is None:
            self._is_cancel_pending = True
            return
        super().stop(reason)

    async def run(self) -> None:
        ending: Ending | None
        try:
            ending = await self._answer()
        except Stopped:
            ending = self._cancelled() if self.stop_reason == "cancel" else None
        except FencedOut:
            self.stop("lost")
            ending = None
        except (EndpointError, CannotAnswer) as fault:
            ending = self._unfinished(failed(fault.code, fault.detail))
        except Exception as error:
            logger.error("answer %s failed: %s at %s", self.claim.answer_id, type(error).__name__, _place(error))
            ending = failed("internal", type(error).__name__)
        if ending is not None and self.stop_reason != "lost":
            await self._end(ending)
        elif self.stop_reason == "release":
            await self._release()
        else:
            logger.info("answer %s lost fence=%d", self.claim.answer_id, self.claim.fence)

    async def _answer(self) -> Ending:
        loaded = await self._load()
        loaded = await self._steps.before_asking(loaded)
        prepared = await self.patiently(in_thread, prepare, loaded)
        self._prepared = prepared
        loaded.progress.forget_passing()
        if ending := self._interrupted(loaded, prepared):
            return ending
        progress = loaded.progress
        await self.append(self._event_started(progress))
        for code, params in prepared.notices:
            await self.notice(code, params)
        if percent := await self.patiently(in_thread, near_quota, prepared.asker_id):
            await self.notice_if_new("quota_near", {"percent": percent})
        while True:
            try:
                return await self._converse(loaded, prepared, progress)
            except ContextFull as fault:
                if progress.has_shown or prepared.rounds:
                    raise
                prepared = await self._prepare_less(loaded, prepared, fault)

    async def _prepare_less(self, loaded: Loaded, before: Prepared, fault: ContextFull) -> Prepared:
        """Older turns left out of a prompt that the endpoint counts otherwise. Raises `fault` where none is left."""
        at_most = int(SHRINK * before.request["estimated_tokens"])
        try:
            prepared = self._prepared = await self.patiently(in_thread, prepare, loaded, at_most)
        except CannotAnswer:
            raise fault from None
        for code, params in prepared.notices:
            await self.notice(code, params)
        return prepared

    async def _load(self) -> Loaded:
        """Everything that any reader has ever been shown: the fence first, so that nothing can be added behind us."""
        claim = self.claim
        await self.patiently(self.log.raise_fence, claim.conversation_id, claim.answer_id, claim.fence)
        loaded = await self.patiently(in_thread, load, claim)
        if claim.fence > 1:
            await self._catch_up(loaded.progress)
            await self.patiently(in_thread, end_left_open, claim.answer_id)
        self.progress = loaded.progress
        if self._is_cancel_pending or loaded.answer.cancel_requested_at is not None:
            self.stop("cancel")
            raise Stopped
        return loaded

    async def _catch_up(self, progress: Progress) -> None:
        claim = self.claim
        shown = await self.patiently(
            self.log.read_answer_deltas, claim.conversation_id, claim.answer_id, progress.position
        )
        for event in shown:
            if not progress.replay(event):
                logger.warning("answer %s: the log has a gap at %d", claim.answer_id, event.at)
                break

    def _interrupted(self, loaded: Loaded, prepared: Prepared) -> Ending | None:
        """A takeover where going on would repeat text before the reader's eyes, or be billed twice unasked."""
        if prepared.can_continue:
            return None
        if loaded.progress.has_shown or (loaded.request.get("sent") and prepared.may_be_billed):
            return failed("interrupted", "The answer was interrupted, and this endpoint cannot continue it.")
        return None

    async def _converse(self, loaded: Loaded, prepared: Prepared, progress: Progress) -> Ending:
        """Asks, round by round as long as the model wants something computed, until it has answered."""
        while True:
            if prepared.rounds:
                await self._steps.answer_calls(loaded, prepared)
                prepared = self._prepared = await self.patiently(in_thread, tell_rounds, loaded, prepared)
            completed = await self._ask(prepared, progress)
            if completed is None:
                return finished(Completed("length", None, prepared.target.model), prepared, progress, False)
            if not completed.calls or not prepared.may_compute:
                return await self._finish(completed, prepared, progress)
            await self._begin_round(completed, prepared, progress)

    async def _begin_round(self, completed: Completed, prepared: Prepared, progress: Progress) -> None:
        """Keeps what the model has said and wants, so that it is not asked for it again, whoever goes on."""
        request, usage = prepared.request, completed.usage
        spent = (usage.prompt_tokens, usage.completion_tokens) if usage else self._estimate(prepared, progress)
        for part in PARTS:
            if progress.round_said(part).strip():  # what comes behind the calls is a paragraph of its own
                await self._show(deltas.Delta(part, PARAGRAPH), progress)
        before = request.get("aside_tokens", (0, 0))
        request["aside_tokens"] = (before[0] + spent[0], before[1] + spent[1])
        request["rounds"] = [*prepared.rounds, round_of(completed.calls, progress)]
        request["sent"] = False
        progress.rest()
        progress.begin_round(request["rounds"][-1]["ends"])
        self._round_tries = 0
        await self.patiently(self.save)  # the text first: the round says how much of it there is
        await self._remember(prepared)

    def _estimate(self, prepared: Prepared, progress: Progress) -> tuple[int, int]:
        return prepared.request["estimated_tokens"], tokens_shown(prepared, progress)

    async def _ask(self, prepared: Prepared, progress: Progress) -> Completed | None:
        """Asks, and asks again as long as that is right and there is patience left. None: there is no length left."""
        tries = Tries(self._patience, prepared.endpoint.is_local)
        while True:
            question = question_now(prepared, progress)
            if question is None:
                return None
            question = await self._within_quota(question, prepared)
            before = progress.version
            try:
                await self._remember_sent(prepared)
                self._tries += 1
                self._round_tries += 1
                return await self._stream(prepared, question, progress)
            except (Unreachable, Dropped, RateLimited) as fault:
                progress.rest()
                if progress.version != before:
                    tries.progressed()
                await self._wait_or_give_up(fault, tries, prepared, progress)

    async def _remember_sent(self, prepared: Prepared) -> None:
        if not prepared.request["sent"]:
            prepared.request["sent"] = True
            await self._remember(prepared)

    async def _remember(self, prepared: Prepared) -> None:
        if not await self.patiently(in_thread, save_request, self.claim, to_json(prepared.request)):
            raise FencedOut(f"answer {self.claim.answer_id}")

    async def _stream(self, prepared: Prepared, question: Question, progress: Progress) -> Completed:
        spending = await self.patiently(in_thread, begin, self._asked(prepared), prepared.request["estimated_tokens"])
        stream = self._client.stream(prepared.target, question, self._tell_place)
        async with (
            metered(stream, spending, prepared.endpoint, prepared.counter) as source,
            aclosing(joined(source, self.stopping)) as pieces,
        ):
            async for piece in pieces:
                if isinstance(piece, Completed):
                    return piece
                await self._show(piece, progress)
        raise Stopped

    async def _tell_place(self, position: int) -> None:
        await self.notice_if_new("queued", {"position": position})

    def _asked(self, prepared: Prepared) -> Asked:
        return Asked(Kind.ANSWER, prepared.asker_id, prepared.endpoint, self.claim.answer_id)

    async def _within_quota(self, question: Question, prepared: Prepared) -> Question:
        """With no more output than the asker may still spend. Raises CannotAnswer where that is none."""
        allowed = partial(
            output_allowed, prepared.asker_id, prepared.request["estimated_tokens"], prices_of(prepared.endpoint)
        )
        left = await self.patiently(in_thread, allowed)
        if left is None:
            return question
        if left == 0:
            raise CannotAnswer("quota")
        prefix = question.prefix
        # Our own worker counts the prefix as output.
        before = len(prefix.token_ids) if prefix and prepared.target.takes_token_ids else 0
        self._is_cut_by_quota = left + before < question.max_tokens
        return replace(question, max_tokens=min(question.max_tokens, left + before))

    async def _show(self, delta: deltas.Delta, progress: Progress) -> None:
        at = progress.length(delta.part)
        progress.add(delta)
        claim = self.claim
        await self.append(Delta(claim.answer_id, claim.message_id, delta.part, at, delta.text, delta.token_ids))

    async def _finish(self, completed: Completed, prepared: Prepared, progress: Progress) -> Ending:
        # The one request held the prompt, and no prefix of ours.
        is_whole = self._round_tries == 1 and self.claim.fence == 1
        if completed.usage and is_whole and not has_tools(prepared.request):  # they were in the prompt as well
            await self.patiently(
                in_thread,
                learn_characters_per_token,
                prepared.endpoint.id,
                prepared.prompt_characters,
                completed.usage.prompt_tokens,
            )
        ending = finished(completed, prepared, progress, is_whole)
        if self._is_cut_by_quota and completed.finish_reason == "length":
            return replace(ending, status=Status.FAILED, error_code="quota")
        return ending

    def _cancelled(self) -> Ending:
        return replace(self._unfinished(Ending(Status.CANCELLED)), finish_reason="cancelled")

    def _unfinished(self, ending: Ending) -> Ending:
        """What it has cost all the same, as far as that can be known."""
        prepared, progress = self._prepared, self.progress
        if prepared is None or progress is None or not (prepared.request["sent"] or prepared.rounds):
            return ending
        prompt_tokens, completion_tokens = self._estimate(prepared, progress) if prepared.request["sent"] else (0, 0)
        cost = replace(
            ending,
            model_name=prepared.target.model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            usage_estimated=True,
        )
        return with_aside(cost, prepared.request)

    async def _wait_or_give_up(
        self, fault: EndpointError, tries: Tries, prepared: Prepared, progress: Progress
    ) -> None:
        """Returns when the endpoint may be asked again. Raises CannotAnswer or the fault itself."""
        if progress.has_shown and not prepared.can_continue:
            raise CannotAnswer("interrupted", fault.detail) from fault
        # It had taken the question: asking again would be paid for twice, and nobody has asked for that.
        if isinstance(fault, Dropped) and prepared.may_be_billed and not prepared.can_continue:
            raise fault
        wait_s = tries.next_wait_s(fault)
        if wait_s is None:
            raise CannotAnswer("interrupted", fault.detail) if progress.has_shown else fault
        logger.info("answer %s waits %.1fs for %s: %s", self.claim.answer_id, wait_s, prepared.target.model, fault.code)
        if isinstance(fault, RateLimited):
            await self.notice("rate_limited", {"seconds": max(1, round(wait_s))})
        elif tries.failures == 3:
            await self.notice("waiting_for_endpoint", {})
        await self.pause(wait_s)

    def _event_started(self, progress: Progress) -> AnswerStarted:
        claim = self.claim
        return AnswerStarted(claim.answer_id, claim.message_id, progress.length_text, progress.length_reasoning)

    async def _end(self, ending: Ending) -> None:
        """The terminal commit, as long as it takes; then the event, which the sweep repeats if it is lost here."""
        claim, progress = self.claim, self.progress
        is_changed = self._prepared is not None and self._prepared.is_replay_changed
        while True:
            try:
                ended = await in_thread(end_answer, claim, ending, progress, is_replay_changed=is_changed)
                break
            except DATABASE_AWAY:
                await asyncio.sleep(0.3)
                if self.stop_reason in ("release", "lost"):
                    return  # the lease runs out by itself; whoever comes next ends it
            except DatabaseError as error:
                # A value that a column does not take. An answer that cannot be stored ends all the same.
                logger.error("answer %s: %s at %s", claim.answer_id, type(error).__name__, _place(error))
                if ending.error_detail == UNSTORABLE:
                    progress = None
                ending = failed("internal", UNSTORABLE)
        if not ended:
            logger.info("answer %s was ended by another runner", claim.answer_id)
            return
        self._log_end(ending)
        try:
            await in_thread(emit_ended, Answer(id=claim.answer_id))
            await in_thread(cancel_of, claim.answer_id)  # of no effect but where it ended before its searches
            await in_thread(ask_for_check, claim.answer_id)
        except (RedisError, *DATABASE_AWAY) as error:
            logger.warning("answer %s ended, not announced: %s", claim.answer_id, type(error).__name__)
        if ending.status == Status.FINISHED:
            await in_thread(ask_for_title, claim.conversation_id)

    async def _release(self) -> None:
        try:
            await self.save()
            await in_thread(release, self.claim)
            logger.info("answer %s released fence=%d", self.claim.answer_id, self.claim.fence)
        except DATABASE_AWAY as error:
            logger.warning("answer %s not released: %s", self.claim.answer_id, type(error).__name__)

    def _log_end(self, ending: Ending) -> None:
        progress = self.progress
        logger.info(
            "answer %s %s %s model=%s prompt=%s cached=%s completion=%s tries=%d first=%sms generation=%dms %.2fs",
            self.claim.answer_id,
            ending.status.value,
            ending.error_code or ending.finish_reason,
            ending.model_name,
            ending.prompt_tokens,
            ending.cached_tokens,
            ending.completion_tokens,
            self._tries,
            progress and progress.first_token_ms,
            progress.generation_ms if progress else 0,
            time.monotonic() - self._started_at,
        )


def _place(error: BaseException) -> str:
    """Where it was raised: file and line, without the words of the error, which may hold text of people."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
