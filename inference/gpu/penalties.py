"""Repetition, presence and frequency penalties of many rows at once, from counts that stay on the card.

A sequence with penalties has a line of counts as long as it is decoded; a step adds the token that it reads. Whoever
comes anew, or comes back, has its line counted by the host.
Legend: S rows, N lines, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inference.scheduler import Chunk
from inference.sequence import Sequence as TokenSequence

PROMPT = 1 << 24  # added for a token of the prompt, which has been seen but not put out; far above any count


@dataclass(eq=False, slots=True)
class _Line:
    number: int
    num_counted: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Of one row: its line, and what the token that it reads adds there."""

    line: int
    added: int


@dataclass(frozen=True, slots=True)
class Weights:
    """The same of a step's rows, on the card, and what they ask for."""

    line_S: Tensor  # int64
    added_S: Tensor  # int32
    repetition_S: Tensor  # fp32, as what follows
    frequency_S: Tensor
    presence_S: Tensor


class Penalties:
    def __init__(self, max_rows: int, vocab_size: int, device: torch.device) -> None:
        """The last line is nobody's."""
        self._max_rows, self._vocab_size, self._device = max_rows, vocab_size, device
        self._counts_NV: Tensor | None = None  # made when first needed: 50 MB for 256 rows of 49152 tokens
        self._lines: dict[TokenSequence, _Line] = {}
        self._free = list(range(max_rows))

    def places(self, chunks: Sequence[Chunk]) -> list[Place]:
        """Of a step's rows, lines brought up to the token before each row's own. Call once for each launch."""
        self._give_back({chunk.sequence for chunk in chunks})
        return [self._place(chunk) for chunk in chunks]

    def apply(self, logits_SV: Tensor, token_ids_S: Tensor, weights: Weights) -> Tensor:
        """Counts each row's token (int64), then penalises: fp32 (S, V)."""
        counts_NV = self._counts()
        counts_NV.view(-1).index_add_(0, weights.line_S * self._vocab_size + token_ids_S, weights.added_S)
        counts_SV = counts_NV[weights.line_S]
        repetition_S1 = weights.repetition_S[:, None]
        penalised_SV = torch.where(logits_SV > 0, logits_SV / repetition_S1, logits_SV * repetition_S1)
        output_SV = (counts_SV % PROMPT).float()
        penalised_SV = penalised_SV - weights.frequency_S[:, None] * output_SV
        penalised_SV = penalised_SV - weights.presence_S[:, None] * (output_SV > 0)
        return torch.where(counts_SV > 0, penalised_SV, logits_SV)

    def _place(self, chunk: Chunk) -> Place:
        sequence = chunk.sequence
        if not sequence.params.has_penalties:
            return Place(self._max_rows, 0)
        line = self._lines.get(sequence)
        if line is None:
            line = self._lines[sequence] = _Line(self._free.pop(), -1)
        if line.num_counted != chunk.start:
            self._counts()[line.number] = self._count(sequence, chunk.start)
        line.num_counted = chunk.end
        return Place(line.number, PROMPT if chunk.start < sequence.num_prompt_tokens else 1)

    def _count(self, sequence: TokenSequence, num_tokens: int) -> Tensor:
        """int32 (V,) of the first tokens."""
        num_prompt = min(sequence.num_prompt_tokens, num_tokens)
        prompt, output = sequence.token_ids[:num_prompt], sequence.token_ids[num_prompt:num_tokens]
        counts_V = np.bincount(np.array(output, dtype=np.int64), minlength=self._vocab_size)
        counts_V[prompt] += PROMPT
        return torch.from_numpy(counts_V.astype(np.int32)).to(self._device)

    def _give_back(self, present: set[TokenSequence]) -> None:
        for sequence in [sequence for sequence in self._lines if sequence not in present]:
            self._free.append(self._lines.pop(sequence).number)

    def _counts(self) -> Tensor:
        if self._counts_NV is None:
            size = (self._max_rows + 1, self._vocab_size)
            self._counts_NV = torch.zeros(size, dtype=torch.int32, device=self._device)
        return self._counts_NV
