"""Speculative decoding with the model's own draft layer: the same tokens in fewer steps.

    propose   after a step, the draft layer guesses the token after each sequence's newest one
    verify    the next step computes the guess in a row of its own, beside the token it follows (scheduler.py)
    accept    the row before it is sampled as ever; where that gives the guess, its own row is sampled too (engine.py)

Exact by construction: every token is sampled from the model's own logits, its noise a pure function of (seed, choice,
position, token). A guess decides only whether the row after it has been computed already. The guess is sampled by the
same rule with the noise of its own position, so at any temperature it is the model's token wherever the two agree.
A guess that was wrong leaves nothing behind: its slots lie after the sequence's tokens and are written again.

The draft layer's key at a position knows the next token too, a cached block's hash does not: the last key of a block
that is found again may be of another continuation. That can cost a guess, never change a token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.scheduler import Chunk
from inference.sequence import Sequence


class DraftModel(Protocol):
    def draft(self, batch: Batch, cache: PagedCache) -> Tensor:
        """Logits fp32 (L, V) of the token after the next, for the batch of the step just computed."""


class Speculator:
    """`choose` samples a row of logits as a sequence's next token; it may raise ValueError."""

    def __init__(
        self, model: DraftModel, cache: PagedCache, choose: Callable[[Tensor, Sequence], int], max_model_len: int
    ) -> None:
        self._model = model
        self._cache = cache
        self._choose = choose
        self._max_model_len = max_model_len

    def propose(self, chunks: list[Chunk], batch: Batch) -> None:
        """Leaves a guess with every sequence of the step that can use one.

        All rows of the step are given to the draft layer: its cache needs what prompts are made of too.
        """
        next_ids: list[int] = []
        guessing: list[tuple[int, Sequence]] = []
        for chunk in chunks:
            sequence, first_row = chunk.sequence, len(next_ids)
            sequence.draft_ids = ()
            known = sequence.token_ids[chunk.start + 1 : chunk.start + 1 + chunk.num_tokens]
            next_ids += known + [0] * (chunk.num_tokens - len(known))  # after a wrong guess, or of a prompt's last row
            if self._can_use_a_guess(sequence):
                guessing.append((first_row + sequence.num_cached_tokens - chunk.start - 1, sequence))
        device = batch.token_ids_T.device
        logits_LV = self._model.draft(
            replace(
                batch,
                token_ids_T=torch.tensor(next_ids, dtype=torch.int64, device=device),
                logits_rows_L=torch.tensor([row for row, _ in guessing], dtype=torch.int64, device=device),
            ),
            self._cache,
        )
        for logits_V, (_, sequence) in zip(logits_LV, guessing, strict=True):
            try:
                sequence.draft_ids = (self._choose(logits_V, sequence),)
            except ValueError:  # what cannot be guessed is computed the ordinary way
                continue

    def _can_use_a_guess(self, sequence: Sequence) -> bool:
        """Two more tokens may follow: the one the next step gives anyway, and one after it."""
        return (
            not sequence.is_finished
            and sequence.is_decoding
            and sequence.num_output_tokens + 1 < sequence.params.max_tokens
            and sequence.num_tokens + 1 < self._max_model_len
        )
