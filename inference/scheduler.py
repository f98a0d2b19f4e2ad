"""Which tokens the next step computes. Policy only: no tensors, tested in milliseconds.

There are no phases. Every sequence has tokens and the number of them in the cache, and a step lets sequences catch
up under a token budget: decodes first (one token each, so a long prompt never stalls a running answer), then chunks
of prompts, oldest first, then newcomers. Without a free block the newest sequence is preempted: its blocks are freed
and it is computed again later, its tokens kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from inference.blocks import BlockPool
from inference.sequence import FinishReason, Sequence, SequenceStatus

# Logits of a whole chunk are wanted at once for prompt logprobs: 64 rows of a 129280-token vocabulary are 32 MiB.
PROMPT_LOGPROBS_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens `start` to `end` of a sequence, the first of them the first one that is not cached."""

    sequence: Sequence
    start: int
    end: int

    @property
    def num_tokens(self) -> int:
        return self.end - self.start

    @property
    def predicts(self) -> bool:
        """Its last row predicts a token that is not known yet."""
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
        self.waiting: deque[Sequence] = deque()
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

    def schedule(self) -> list[Chunk]:
        budget = self.max_num_batched_tokens
        chunks = self._schedule_decodes()
        budget -= len(chunks)
        chunks += self._schedule_prefills(budget)
        return chunks

    def mark_computed(self, chunk: Chunk) -> None:
        chunk.sequence.num_cached_tokens = chunk.end

    def finish(self, sequence: Sequence, reason: FinishReason) -> None:
        """Ends a sequence in any state and frees its blocks at once. Safe to call twice: the first reason stays."""
        if sequence.is_finished:
            return
        if sequence.status is SequenceStatus.WAITING:
            self.waiting.remove(sequence)
        else:
            self.running.remove(sequence)
        self.blocks.free(sequence)
        sequence.status = SequenceStatus.FINISHED
        sequence.finish_reason = reason

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
        for sequence in self.running:
            if budget > 0 and not sequence.is_decoding:
                chunks.append(self._chunk(sequence, budget))
                budget -= chunks[-1].num_tokens
        while budget > 0 and self._can_admit():
            sequence = self._admit()
            chunks.append(self._chunk(sequence, budget))
            budget -= chunks[-1].num_tokens
        return chunks

    def _chunk(self, sequence: Sequence, budget: int) -> Chunk:
        if sequence.params.prompt_logprobs:
            budget = min(budget, PROMPT_LOGPROBS_CHUNK)
        start = sequence.num_cached_tokens
        return Chunk(sequence, start, start + min(sequence.num_uncached_tokens, budget))

    def _can_admit(self) -> bool:
        """One block a running sequence stays spare: a newcomer that is preempted at once has been computed in vain."""
        return (
            bool(self.waiting)
            and len(self.running) < self.max_num_seqs
            and self.blocks.can_allocate(self.waiting[0], spare=len(self.running))
        )

    def _admit(self) -> Sequence:
        sequence = self.waiting.popleft()
        self.blocks.allocate(sequence)
        sequence.status = SequenceStatus.RUNNING
        self.running.append(sequence)
        return sequence

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self.blocks.free(sequence)
        sequence.num_cached_tokens = 0
        sequence.num_preemptions += 1
        sequence.status = SequenceStatus.WAITING
        self.waiting.appendleft(sequence)
        self.num_preemptions += 1
