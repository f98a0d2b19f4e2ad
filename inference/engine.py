"""The engine: sequences in, pieces of text out, one short `step` at a time, all of it in one thread.

Knows the model, its cache, the scheduler and the sampler; knows nothing of HTTP or asyncio (see async_engine.py).
Whatever fails in one sequence ends that sequence with its own error and no other.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.detokenizer import Detokenizer, Piece, Vocabulary
from inference.sampler import Sampler, SamplingError, token_logprob
from inference.scheduler import Chunk, Scheduler
from inference.sequence import FinishReason, GenerationRequest, Sequence, TokenLogprob
from inference.speculation import DraftModel, Speculator

logger = logging.getLogger(__name__)


class ForwardModel(Protocol):
    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        """Logits fp32 (L, V) of the rows the batch asks for."""


class LaunchedStep(Protocol):
    @property
    def sequences(self) -> list[Sequence]:
        """Whose tokens are sampled, row by row."""

    @property
    def logits_SV(self) -> Tensor:
        """fp32, of the step's rows; good until the next launch."""

    def read(self) -> list[int]:
        """Waits for the sampled tokens, one a row; negative for a row whose logits are no numbers."""


class StepDecoder(Protocol):
    """Decodes one token for each of many sequences without being waited for (see inference/gpu)."""

    def can_decode(self, chunk: Chunk) -> bool: ...

    def can_sample(self, sequence: Sequence) -> bool: ...

    def launch(self, chunks: list[Chunk], after: LaunchedStep | None = None) -> LaunchedStep:
        """Tokens that are not known yet are taken from `after`, the step that was launched last."""


class ModelLost(RuntimeError):
    """The model cannot compute again, for anybody: the engine ends."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one choice cost so far. The prompt counts a continued prefix, as it is read and not written."""

    num_prompt_tokens: int
    num_new_tokens: int
    num_hit_tokens: int = 0  # of the prompt, found in the cache


@dataclass(frozen=True, slots=True)
class Delta:
    """What a step added to one choice. The last one has a finish_reason; `error` says why when that is "error"."""

    request_id: str
    choice: int
    usage: Usage
    text: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    unsaid_logprobs: tuple[
        TokenLogprob, ...
    ] = ()  # of the last tokens, which are no text: an end token, half a character
    prompt_logprobs: tuple[TokenLogprob | None, ...] | None = None  # once, when the prompt has been read
    finish_reason: FinishReason | None = None
    error: str | None = None


@dataclass(slots=True)
class EngineStats:
    """Counters since the start, read by /metrics from another thread: single numbers only."""

    num_steps: int = 0
    num_draft_tokens: int = 0  # guesses computed
    num_accepted_tokens: int = 0  # of them, those that saved a step
    step_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Launched:
    """A step of the decoder whose tokens have not been read."""

    chunks: list[Chunk]
    launched: LaunchedStep


@dataclass(eq=False, slots=True)
class _Output:
    """The text side of a sequence."""

    detokenizer: Detokenizer
    logprobs: list[TokenLogprob] = field(default_factory=list)
    num_settled_logprobs: int = 0
    sent_prompt_logprobs: bool = False


class Engine:
    def __init__(
        self,
        model: ForwardModel,
        cache: PagedCache,
        scheduler: Scheduler,
        vocabulary: Vocabulary,
        max_model_len: int,
        device: str = "cpu",
        max_wait_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        drafter: DraftModel | None = None,
        decoder: StepDecoder | None = None,
    ) -> None:
        """Who has not been given a place within `max_wait_s` ends as "expired". A `drafter` is the model itself.

        A `decoder` takes the model's place for single new tokens, and is kept one step ahead of what has been read.
        """
        assert drafter is None or decoder is None, "guesses are verified by the model"
        self.model = model
        self.cache = cache
        self.scheduler = scheduler
        self.vocabulary = vocabulary
        self.max_model_len = min(max_model_len, scheduler.blocks.capacity_tokens)
        self.device = device
        self.max_wait_s = max_wait_s
        self.sampler = Sampler()
        self.speculator: Speculator | None = None
        if drafter is not None:
            self.speculator = Speculator(drafter, cache, self._guess, self.max_model_len)
        self.decoder = decoder
        self._ahead: _Launched | None = None
        self.stats = EngineStats()
        self._clock = clock
        self._outputs: dict[Sequence, _Output] = {}

    @property
    def has_work(self) -> bool:
        return self.scheduler.has_work or self._ahead is not None

    def add(self, request: GenerationRequest) -> list[Delta]:
        """Queues every choice of a request. A prefix that is as long as may be ends at once, and so does an error."""
        deltas = []
        for choice in range(request.num_choices):
            try:
                sequence = Sequence.from_request(request, choice)
                sequence.deadline = self._clock() + self.max_wait_s
                output = _Output(
                    Detokenizer(self.vocabulary, request.params.stop, request.prefix_token_ids, request.heal)
                )
                self.scheduler.add(sequence)
            except Exception as error:  # a broken request is answered, it does not stop the engine
                deltas.append(_refuse(request, choice, error))
                continue
            self._outputs[sequence] = output
            reason = sequence.length_reached(self.max_model_len)
            if reason is not None and not request.params.prompt_logprobs:
                deltas.append(self._finish(sequence, reason))
        return deltas

    def abort(self, request_id: str, reason: FinishReason = "cancelled") -> list[Delta]:
        """Ends whatever of a request still runs; its blocks are free when this returns."""
        return [self._finish(s, reason) for s in list(self._outputs) if s.request_id == request_id]

    def abort_all(self, reason: FinishReason = "cancelled") -> list[Delta]:
        return [self._finish(sequence, reason) for sequence in list(self._outputs)]

    def step(self) -> list[Delta]:
        """Schedules, computes, samples and reports one step for every sequence in it."""
        started = time.perf_counter()
        deltas = [self._finish(sequence, "expired") for sequence in self.scheduler.expired(self._clock())]
        if self._ahead is not None:
            deltas += self._go_on(self._ahead)
        else:
            deltas += self._compute(self.scheduler.schedule())
        self.stats.num_steps += 1
        self.stats.step_seconds += time.perf_counter() - started
        return deltas

    def check_integrity(self) -> None:
        """When there is nothing to do, nothing may be left of what was done. For our own mistakes: AssertionError."""
        assert not self.has_work and not self._outputs, "a sequence was left behind"
        self.scheduler.check()

    def _compute(self, chunks: list[Chunk], ahead: bool = True) -> list[Delta]:
        """When the joint forward pass fails, each chunk is computed alone: only the guilty one fails again.

        That is safe because a chunk writes the same cache slots each time. Where a decoder samples every token of the
        step itself, the step is only launched, unless not `ahead`.
        """
        if not chunks:
            return []
        rows, others = self._divide(chunks)
        try:
            with torch.inference_mode():
                launched = self.decoder.launch(rows) if self.decoder is not None and rows else None
                if others:
                    batch = build_batch(others, self.cache.block_size, self.device)
                    logits_LV = self.model.forward(batch, self.cache)
        except ModelLost:
            raise
        except Exception as error:
            if len(chunks) == 1 and chunks[0].draft_ids:  # a guess may be what cannot be computed
                return self._compute([replace(chunks[0], draft_ids=())])
            if len(chunks) == 1:
                return [self._fail(chunks[0].sequence, error)]
            logger.warning("a step of %d sequences failed, computing each alone", len(chunks), exc_info=True)
            return [delta for chunk in chunks for delta in self._compute([chunk], ahead=False)]
        deltas: list[Delta] = []
        if launched is not None:
            step = _Launched(rows, launched)
            if ahead and not others and self._samples_all(rows):
                self._ahead = step
                return []
            deltas += self._read(step)
        if others:
            deltas += self._advance(others, logits_LV)
        if self.speculator is not None:
            self._propose(self.speculator, chunks, batch)
        return deltas

    def _divide(self, chunks: list[Chunk]) -> tuple[list[Chunk], list[Chunk]]:
        """What the decoder computes and what the model does."""
        if self.decoder is None:
            return [], chunks
        rows = [chunk for chunk in chunks if self.decoder.can_decode(chunk)]
        return rows, [chunk for chunk in chunks if not self.decoder.can_decode(chunk)]

    def _samples_all(self, rows: list[Chunk]) -> bool:
        return self.decoder is not None and all(self.decoder.can_sample(chunk.sequence) for chunk in rows)

    def _go_on(self, step: _Launched) -> list[Delta]:
        """The next step is launched first, then the tokens of this one are read: the device is never waiting.

        A sequence that ends with its token has a row in the next step already, which nobody will look at.
        """
        self._ahead = None
        chunks = self.scheduler.schedule_ahead(step.chunks, self.max_model_len)
        if chunks:
            assert self.decoder is not None
            try:
                self._ahead = _Launched(chunks, self.decoder.launch(chunks, after=step.launched))
            except Exception:  # it is scheduled again, and whoever is guilty is found then
                logger.warning("a step of %d sequences could not be launched ahead", len(chunks), exc_info=True)
        return self._read(step)

    def _read(self, step: _Launched) -> list[Delta]:
        deltas = []
        samples_all = self._samples_all(step.chunks)
        for row, (chunk, token_id) in enumerate(zip(step.chunks, step.launched.read(), strict=True)):
            sequence = chunk.sequence
            if sequence.is_finished:
                continue
            self.scheduler.mark_computed(chunk)
            try:
                if samples_all or self._samples_all([chunk]):
                    delta = self._take_sampled(sequence, token_id)
                else:
                    with torch.inference_mode():
                        delta = self._take(chunk, step.launched.logits_SV[row : row + 1])
            except Exception as error:
                delta = self._fail(sequence, error)
            if delta is not None:
                deltas.append(delta)
        return deltas

    def _propose(self, speculator: Speculator, chunks: list[Chunk], batch: Batch) -> None:
        """No answer fails for want of a guess; a draft layer that fails is not asked again."""
        try:
            with torch.inference_mode():
                speculator.propose(chunks, batch)
        except ModelLost:
            raise
        except Exception:
            logger.warning("the draft layer failed, going on without guesses", exc_info=True)
            self.speculator = None
            for sequence in self.scheduler.running:
                sequence.draft_ids = ()

    def _advance(self, chunks: list[Chunk], logits_LV: Tensor) -> list[Delta]:
        deltas, start = [], 0
        for chunk in chunks:
            num_rows = num_logits_rows(chunk)
            rows_LV = logits_LV[start : start + num_rows]
            start += num_rows
            self.scheduler.mark_computed(chunk)
            try:
                with torch.inference_mode():
                    delta = self._take(chunk, rows_LV)
            except Exception as error:
                delta = self._fail(chunk.sequence, error)
            if delta is not None:
                deltas.append(delta)
        return deltas

    def _take(self, chunk: Chunk, rows_LV: Tensor) -> Delta | None:
        """The sampled tokens of one sequence, and what may be told of them: one, and one more for each right guess."""
        sequence, output = chunk.sequence, self._outputs[chunk.sequence]
        if sequence.params.prompt_logprobs:
            self._take_prompt_logprobs(chunk, rows_LV)
        if not chunk.predicts:
            return None
        reason = sequence.length_reached(self.max_model_len)
        if reason is not None:  # max_tokens=0: only the prompt was to be scored
            return self._finish(sequence, reason)
        self.stats.num_draft_tokens += len(chunk.draft_ids)
        pieces: list[Piece] = []
        for row_V, draft_id in zip(rows_LV[-1 - len(chunk.draft_ids) :], (*chunk.draft_ids, None), strict=True):
            token_id = self._sample(row_V, sequence, output)
            if (end := self._append(sequence, token_id, pieces)) is not None:
                return end
            if token_id != draft_id:
                break
            self.scheduler.mark_accepted(sequence)
            self.stats.num_accepted_tokens += 1
        return self._tell(sequence, pieces)

    def _take_sampled(self, sequence: Sequence, token_id: int) -> Delta | None:
        """The same for a token that the decoder has sampled."""
        if token_id < 0:
            raise SamplingError("the model gave logits that are not finite")
        pieces: list[Piece] = []
        return self._append(sequence, token_id, pieces) or self._tell(sequence, pieces)

    def _append(self, sequence: Sequence, token_id: int, pieces: list[Piece]) -> Delta | None:
        """Adds a token and its text; the last delta where the sequence ends with it."""
        reason = sequence.append(token_id, self.max_model_len)
        if reason == "stop":  # the end token itself is not text
            return self._finish(sequence, "stop", *pieces)
        pieces.append(self._outputs[sequence].detokenizer.push(token_id))
        if pieces[-1].stopped:
            return self._finish(sequence, "stop", *pieces)
        return None if reason is None else self._finish(sequence, reason, *pieces)

    def _tell(self, sequence: Sequence, pieces: list[Piece]) -> Delta | None:
        if len(pieces) == 1 and sequence.params.num_logprobs is None and not sequence.params.prompt_logprobs:
            (piece,) = pieces  # as nearly always, and all of a step's 256 rows pass here: 15 -> 5 us each
            if not piece.text:
                return None
            self._outputs[sequence].num_settled_logprobs += piece.num_tokens
            usage = _usage(sequence)
            return Delta(sequence.request_id, sequence.choice, usage, text=piece.text, token_ids=piece.token_ids)
        delta = self._delta(sequence, *pieces)
        return delta if delta.text or delta.prompt_logprobs is not None else None

    def _sample(self, logits_V: Tensor, sequence: Sequence, output: _Output) -> int:
        sample = self.sampler.sample(logits_V, sequence, self._allowed_ids(sequence))
        if sequence.grammar is not None:
            sequence.grammar.advance(sample.token_id)
        sequence.heal = sequence.heal[len(self.vocabulary.token_bytes(sample.token_id)) :]
        if sample.logprob is not None:
            output.logprobs.append(sample.logprob)
        return sample.token_id

    def _guess(self, logits_V: Tensor, sequence: Sequence) -> int:
        return self.sampler.choose(logits_V, sequence, self._allowed_ids(sequence))

    def _allowed_ids(self, sequence: Sequence) -> list[int] | NDArray[np.int64] | None:
        """The tokens that may come next, where not every token may."""
        along = self.vocabulary.tokens_along(sequence.heal) if sequence.heal else None
        if sequence.grammar is None:
            return along
        allowed_ids = sequence.grammar.allowed_ids()
        return allowed_ids if along is None else np.intersect1d(allowed_ids, along)

    def _take_prompt_logprobs(self, chunk: Chunk, rows_LV: Tensor) -> None:
        """Row i predicts token i + 1. Rows computed again after a preemption are known already."""
        sequence = chunk.sequence
        known = sequence.prompt_logprobs
        if not known:
            known.append(None)  # nothing predicts the first token
        for row, position in enumerate(range(chunk.start + 1, min(chunk.end + 1, sequence.num_prompt_tokens))):
            if position == len(known):
                num_top = sequence.params.num_logprobs or 0
                known.append(token_logprob(rows_LV[row], sequence.token_ids[position], num_top))

    def _finish(self, sequence: Sequence, reason: FinishReason, *pieces: Piece) -> Delta:
        output = self._outputs[sequence]
        if not pieces or not pieces[-1].stopped:
            pieces = (*pieces, output.detokenizer.finish())
        delta = self._delta(sequence, *pieces, reason=reason)
        self.scheduler.finish(sequence, reason)
        del self._outputs[sequence]
        return delta

    def _fail(self, sequence: Sequence, error: Exception) -> Delta:
        logger.error("request %s choice %d failed", sequence.request_id, sequence.choice, exc_info=error)
        self.scheduler.finish(sequence, "error")
        self._outputs.pop(sequence, None)
        return Delta(
            sequence.request_id, sequence.choice, _usage(sequence), finish_reason="error", error=_describe(error)
        )

    def _delta(self, sequence: Sequence, *pieces: Piece, reason: FinishReason | None = None) -> Delta:
        output = self._outputs[sequence]
        first = output.num_settled_logprobs
        output.num_settled_logprobs += sum(piece.num_tokens for piece in pieces)
        is_whole = reason is not None and not any(piece.stopped for piece in pieces)
        prompt_logprobs = None
        if sequence.params.prompt_logprobs and not output.sent_prompt_logprobs:
            prompt_logprobs = tuple(sequence.prompt_logprobs)
            output.sent_prompt_logprobs = True
        return Delta(
            sequence.request_id,
            sequence.choice,
            _usage(sequence),
            text="".join(piece.text for piece in pieces),
            token_ids=tuple(token_id for piece in pieces for token_id in piece.token_ids),
            logprobs=tuple(output.logprobs[first : output.num_settled_logprobs]),
            unsaid_logprobs=tuple(output.logprobs[output.num_settled_logprobs :]) if is_whole else (),
            prompt_logprobs=prompt_logprobs,
            finish_reason=reason,
        )


def num_logits_rows(chunk: Chunk) -> int:
    """The last ones of the chunk: what predicts a new token, and its guesses; all where the prompt is scored."""
    if chunk.sequence.params.prompt_logprobs:
        return chunk.num_tokens
    return 1 + len(chunk.draft_ids) if chunk.predicts else 0


def build_batch(chunks: Iterable[Chunk], block_size: int, device: str) -> Batch:
    """The tensors of one step, in the order of the chunks."""
    token_ids: list[int] = []
    positions: list[int] = []
    slots: list[int] = []
    query_start = [0]
    context_lens: list[int] = []
    tables: list[list[int]] = []
    logits_rows: list[int] = []
    for chunk in chunks:
        sequence, end = chunk.sequence, chunk.start + chunk.num_tokens
        table = sequence.block_table[: -(-end // block_size)]
        token_ids += [*sequence.token_ids[chunk.start : chunk.end], *chunk.draft_ids]
        positions += range(chunk.start, end)
        slots += [table[p // block_size] * block_size + p % block_size for p in range(chunk.start, end)]
        query_start.append(len(token_ids))
        context_lens.append(end)
        tables.append(table)
        logits_rows += range(len(token_ids) - num_logits_rows(chunk), len(token_ids))
    width = max(len(table) for table in tables)
    return Batch(
        token_ids_T=torch.tensor(token_ids, dtype=torch.int64, device=device),
        positions_T=torch.tensor(positions, dtype=torch.int64, device=device),
        slot_mapping_T=torch.tensor(slots, dtype=torch.int64, device=device),
        query_start_S1=torch.tensor(query_start, dtype=torch.int32, device=device),
        context_lens_S=torch.tensor(context_lens, dtype=torch.int32, device=device),
        block_tables_SB=torch.tensor(
            [table + [-1] * (width - len(table)) for table in tables], dtype=torch.int32, device=device
        ),
        logits_rows_L=torch.tensor(logits_rows, dtype=torch.int64, device=device),
    )


def _refuse(request: GenerationRequest, choice: int, error: Exception) -> Delta:
    logger.warning("request %s choice %d refused: %s", request.id, choice, type(error).__name__)
    usage = Usage(len(request.prompt_token_ids) + len(request.prefix_token_ids), 0)
    return Delta(request.id, choice, usage, finish_reason="error", error=_describe(error))


def _usage(sequence: Sequence) -> Usage:
    num_prompt_tokens = sequence.num_prompt_tokens + sequence.num_prefix_tokens
    return Usage(num_prompt_tokens, sequence.num_new_tokens, sequence.num_hit_tokens or 0)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
