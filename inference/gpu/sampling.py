"""The next tokens of many rows at once, where their logits lie: those that inference/sampler.py gives row by row.

Penalties are taken off the logits first (penalties.py), then inference/kernels/sample.py draws. Grammars, healed
prefixes and log-probabilities are the host's: such a row is sampled there, and nobody computes ahead of it.
Legend: S rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inference.sampler import draw, noise_key
from inference.sequence import Sequence

NOT_FINITE = -1  # stands where a token would: the row's logits are no numbers


@dataclass(frozen=True, slots=True)
class Draws:
    """How each row is drawn, as inference.kernels.sample has it."""

    temperature_S: Tensor  # fp32; 0: the largest logit
    top_k_S: Tensor  # int32; 0: every token
    top_p_S: Tensor  # fp64
    seed_S: Tensor  # int64
    choice_S: Tensor  # int64
    position_S: Tensor  # int64: tokens put out so far


Sample = Callable[[Tensor, Draws], Tensor]


def can_sample(sequence: Sequence) -> bool:
    return sequence.grammar is None and not sequence.heal and sequence.params.num_logprobs is None


def choose_sample(device: torch.device) -> Sample:
    """The kernel where there is a card."""
    if device.type != "cuda":
        return plain_sample
    try:
        from inference.kernels import sample as kernel  # triton: only where a card, or its interpreter, computes
    except ImportError:
        return plain_sample

    def sample(logits_SV: Tensor, draws: Draws) -> Tensor:
        return kernel.sample(logits_SV, kernel.Draws(*(getattr(draws, name) for name in Draws.__slots__)))

    return sample


def plain_sample(logits_SV: Tensor, draws: Draws) -> Tensor:
    """int64 (S,), row by row; NOT_FINITE for a row that cannot be sampled."""
    columns = [getattr(draws, name).tolist() for name in Draws.__slots__]
    tokens = []
    for logits_V, temperature, top_k, top_p, seed, choice, position in zip(logits_SV, *columns, strict=True):
        if bool(logits_V.sum().isfinite()):
            tokens.append(draw(logits_V, temperature, top_k, top_p, noise_key(seed, choice, position)))
        else:
            tokens.append(NOT_FINITE)
    return torch.tensor(tokens, dtype=torch.int64, device=logits_SV.device)
