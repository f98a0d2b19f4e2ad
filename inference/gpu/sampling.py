"""The next tokens of many rows at once, where they lie: the same as inference/sampler.py gives row by row.

Not everything that a request may ask for is done here (see `can_sample`); a row that asks for more is sampled by the
host, and nobody computes ahead of it.
Legend: S rows, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inference.sampler import gumbel_noise
from inference.sequence import Sequence

NOT_FINITE = -1  # stands where a token would: the row's logits are no numbers


@dataclass(frozen=True, slots=True)
class RowParams:
    keys_S: Tensor  # int64, sampler.noise_key
    temperatures_S: Tensor  # fp32
    is_greedy: bool  # all rows


def can_sample(sequence: Sequence) -> bool:
    params = sequence.params
    return (
        sequence.grammar is None
        and not sequence.heal
        and params.num_logprobs is None
        and not params.has_penalties
        and (params.temperature == 0.0 or (params.top_k == 0 and params.top_p >= 1.0))
    )


def sample_rows(logits_SV: Tensor, params: RowParams) -> Tensor:
    """int64 (S,); NOT_FINITE for a row that cannot be sampled."""
    best_S = logits_SV.argmax(dim=-1)
    if not params.is_greedy:
        is_greedy_S = params.temperatures_S == 0
        scaled_SV = logits_SV / params.temperatures_S.masked_fill(is_greedy_S, 1.0)[:, None]
        token_ids_V = torch.arange(logits_SV.shape[1], device=logits_SV.device)
        noise_SV = gumbel_noise(params.keys_S[:, None], token_ids_V)
        best_S = torch.where(is_greedy_S, best_S, (scaled_SV + noise_SV).argmax(dim=-1))
    return best_S.masked_fill(~logits_SV.sum(dim=-1).isfinite(), NOT_FINITE)
