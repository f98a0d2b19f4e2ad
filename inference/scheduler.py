"""Which tokens the next step computes. Policy only: no tensors, tested in milliseconds.

There are no phases. Every sequence has tokens and the number of them in the cache, and a step lets sequences catch
up under a token budget: decodes first (one token each, so a long prompt never stalls a running answer), with guesses
at the token after it where there is room (speculation.py), then chunks
of prompts and newcomers, the least served user's first, oldest first within a user's. Without a free block the newest
sequence is preempted: its blocks are freed and it is computed again later, its tokens kept.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from inference.blocks import BlockPool
from inference.sequence import FinishReason, Sequence, SequenceStatus
from inference.shares import OUTPUT_COST, Shares

# Logits of a whole chunk are wanted at once for prompt logprobs: 64 rows of a 129280-token vocabulary are 32 MiB.
PROMPT_LOGPROBS_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens `start` to `end` of a sequence, the first of them the first one that is not cached."""

    sequence: Sequence
    start: int
    end: int
    draft_ids: tuple[int, ...] = ()  # guesses at the tokens from `end` on, computed in the same step

    @property
    def num_tokens(self) -> int:
        """What is computed: the guesses too."""
        return self.end - self.start + len(self.draft_ids)

    @property
    def predicts(self) -> bool:
        """Row `end` - 1 predicts a token that is not known yet."""
        return self.end == self.sequence.num_tokens


class Scheduler:
    def __init__(self, blocks: BlockPool, max_num_seqs: int, max_num_batched_tokens: int) -> None:
        if not 1 <= max_num_seqs <= max_num_batched_tokens:
            raise ValueError(
                f"max_num_seqs={max_num_seqs} must be between 1 and max_num_batched_tokens={max_num_batched_tokens}"
            )
        self.blocks = blocks
        self.max_num_seqs = max_num_seqs
        self.max_num_batched_tokens = max_num_batched_tokens
        self.shares = Shares()
        self.waiting: list[Sequence] = []  # preempted ones, then as they came
        self.running: list[Sequence] = []  # oldest first
        self.num_preemptions = 0

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self.running)

    def add(self, sequence: Sequence) -> None:
        """Raises ValueError for a sequence that could not run even alone: it would wait for ever."""
        if sequence.num_tokens > self.blocks.capacity_tokens:
            raise ValueError(
                f"{sequence.num_tokens} tokens do not fit the cache, which holds {self.blocks.capacity_tokens}"
            )
        self.waiting.append(sequence)
        self.shares.enter(sequence.user)

    def schedule(self) -> list[Chunk]:
        budget = self.max_num_batched_tokens
        chunks = self._add_drafts(self._schedule_decodes())
        budget -= sum(chunk.num_tokens for chunk in chunks)
        chunks += self._schedule_prefills(budget)
        return chunks

    def schedule_ahead(self, computing: list[Chunk], max_model_len: int) -> list[Chunk]:
        """The decodes that follow those being computed, before their tokens are known. None where somebody else's turn
        may have come, or memory is short: then the tokens are waited for.

        Takes blocks and changes nothing else. Who turns out to have ended gives them back with all others.
        """
        going_on = [chunk for chunk in computing if not chunk.sequence.is_finished]
        if len(going_on) < len(self.running) or self._can_admit():
            return []
        chunks = []
        for chunk in going_on:
            sequence = chunk.sequence
            if sequence.length_reached(max_model_len, num_more=1):
                continue
            if chunk.end == self.blocks.block_size * len(sequence.block_table):  # one step of 64
                if not self.blocks.can_append(sequence, 1):
                    return []
                self.blocks.append(sequence, 1)
            chunks.append(Chunk(sequence, chunk.end, chunk.end + 1))
        return chunks

    def mark_computed(self, chunk: Chunk) -> None:
        sequence = chunk.sequence
        sequence.num_cached_tokens = chunk.end
        self.blocks.remember(sequence, chunk.start, chunk.end)
        is_output = chunk.end > sequence.num_prompt_tokens + sequence.num_prefix_tokens
        self.shares.charge(sequence.user, OUTPUT_COST if is_output else chunk.num_tokens)

    def mark_accepted(self, sequence: Sequence) -> None:
        """A guess became the sequence's newest token: it is in the cache already, and charged as any other."""
        start = sequence.num_cached_tokens
        self.mark_computed(Chunk(sequence, start, start + 1))

    def finish(self, sequence: Sequence, reason: FinishReason) -> None:
        """Ends a sequence in any state and frees its blocks at once. Safe to call twice: the first reason stays.

        What was computed stays cached, so that a next turn finds a question and its answer, an interrupted one too;
        but not after an error, of which it may be the cause.
        """
        if sequence.is_finished:
            return
        if sequence.status is SequenceStatus.WAITING:
            self.waiting.remove(sequence)
        else:
            self.running.remove(sequence)
        if reason == "error":
            self.blocks.forget(sequence)
        self.blocks.free(sequence)
        self.shares.leave(sequence.user)
        sequence.status = SequenceStatus.FINISHED
        sequence.finish_reason = reason

    def expired(self, now: float) -> list[Sequence]:
        """Those that have waited for their first place beyond their deadline."""
        return [s for s in self.waiting if s.num_hit_tokens is None and s.deadline is not None and s.deadline <= now]

    def queue_position(self, request_id: str) -> int | None:
        """1 for the next to be admitted; None when nothing of the request waits. Callable from any thread.

        An estimate: users take turns, and who comes later may be served less than who waits.
        """
        turns: Counter[str] = Counter()
        order: list[tuple[bool, int, int, int, str]] = []
        for sequence in list(self.waiting):
            order.append((*self._urgency(sequence, turns[sequence.user]), len(order), sequence.request_id))
            turns[sequence.user] += 1
        ids = [entry[-1] for entry in sorted(order)]
        return ids.index(request_id) + 1 if request_id in ids else None

    def check(self) -> None:
        self.blocks.check(self.running)
        assert all(not sequence.block_table for sequence in self.waiting)
        assert len(self.running) <= self.max_num_seqs

    def _schedule_decodes(self) -> list[Chunk]:
        chunks = []
        for sequence in [s for s in self.running if s.is_decoding]:
            if sequence.status is SequenceStatus.RUNNING and self._make_room(sequence):
                self.blocks.append(sequence)
                chunks.append(self._chunk(sequence, 1))
        return chunks

    def _add_drafts(self, decodes: list[Chunk]) -> list[Chunk]:
        """Nobody is preempted for a guess, and half of the budget that is left stays for prompts."""
        spare = (self.max_num_batched_tokens - len(decodes)) // 2
        chunks = []
        for chunk in decodes:
            drafts = chunk.sequence.draft_ids
            if drafts and len(drafts) <= spare and self.blocks.can_append(chunk.sequence, len(drafts)):
                self.blocks.append(chunk.sequence, len(drafts))
                spare -= len(drafts)
                chunk = replace(chunk, draft_ids=drafts)
            chunks.append(chunk)
        return chunks

    def _make_room(self, sequence: Sequence) -> bool:
        """Preempts the newest until the next token fits; false when that was the sequence itself.

        The newest is never one already scheduled in this step: decodes are visited oldest first.
        """
        while not self.blocks.can_append(sequence):
            newest = self.running[-1]
            self._preempt(newest)
            if newest is sequence:
                return False
        return True

    def _schedule_prefills(self, budget: int) -> list[Chunk]:
        chunks = []
        reading = [sequence for sequence in self.running if not sequence.is_decoding]
        while budget > 0 and (sequence := self._next_to_read(reading)) is not None:
            chunks.append(self._chunk(sequence, budget))
            budget -= chunks[-1].num_tokens
        return chunks

    def _next_to_read(self, reading: list[Sequence]) -> Sequence | None:
        """Takes the least served user's next: one of `reading`, or a newcomer, who must be served less than those.

        One block a running sequence stays spare: a newcomer that is preempted at once has been computed in vain.
        """
        current = min(reading, key=self._urgency, default=None)
        newcomer = self._next_newcomer()
        if newcomer is not None and (current is None or self._urgency(newcomer) < self._urgency(current)):
            if self.blocks.can_allocate(newcomer, spare=len(self.running)):
                return self._admit(newcomer)
        if current is not None:
            reading.remove(current)
        return current

    def _can_admit(self) -> bool:
        newcomer = self._next_newcomer()
        return newcomer is not None and self.blocks.can_allocate(newcomer, spare=len(self.running))

    def _next_newcomer(self) -> Sequence | None:
        if len(self.running) >= self.max_num_seqs:
            return None
        in_order = sorted(self.waiting, key=self._urgency)
        return next((sequence for sequence in in_order if not self._is_being_read(sequence)), None)

    def _is_being_read(self, newcomer: Sequence) -> bool:
        """Its user has another sequence that computes what it would begin with: the choices of one question do.

        Not another user's, whose turn may be long in coming.
        """
        return any(s.user == newcomer.user and self.blocks.is_about_to_fill(s, newcomer) for s in self.running)

    def _urgency(self, sequence: Sequence, turn: int = 0) -> tuple[bool, int, int]:
        """Smaller is sooner. Who was preempted goes first: somebody is reading that answer already."""
        return sequence.num_preemptions == 0, turn, self.shares.served(sequence.user)

    def _chunk(self, sequence: Sequence, budget: int) -> Chunk:
        if sequence.params.prompt_logprobs:
            budget = min(budget, PROMPT_LOGPROBS_CHUNK)
        start = sequence.num_cached_tokens
        return Chunk(sequence, start, start + min(sequence.num_uncached_tokens, budget))

    def _admit(self, sequence: Sequence) -> Sequence:
        self.waiting.remove(sequence)
        sequence.num_cached_tokens = self.blocks.allocate(sequence)
        if sequence.num_hit_tokens is None:
            sequence.num_hit_tokens = sequence.num_cached_tokens
        sequence.status = SequenceStatus.RUNNING
        self.running.append(sequence)
        return sequence

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self.blocks.free(sequence)
        sequence.num_cached_tokens = 0
        sequence.draft_ids = ()
        sequence.num_preemptions += 1
        sequence.status = SequenceStatus.WAITING
        self.waiting.insert(0, sequence)
        self.num_preemptions += 1
