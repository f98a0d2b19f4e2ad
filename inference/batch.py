"""One step of the model: which tokens, of which sequences, go where. Plain tensors, no policy.

Legend: T tokens of this step, S sequences, B blocks of the longest sequence, L rows whose logits are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """T tokens of S sequences, prefill chunks and decodes mixed; each sequence's rows are its newest positions."""

    token_ids_T: Tensor  # int64
    positions_T: Tensor  # int64
    slot_mapping_T: Tensor  # int64, block_id * block_size + offset: where this token is written
    query_start_S1: Tensor  # int32, offsets into T, one more than sequences
    context_lens_S: Tensor  # int32, tokens in the cache after this step
    block_tables_SB: Tensor  # int32, -1 pads
    logits_rows_L: Tensor  # int64, rows of T

    def to(self, device: torch.device | str) -> Batch:
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Rows:
    """One new token of each of S sequences, in tensors whose shapes say nothing of what is computed.

    Rows that only fill the step up are not real; they have a context of one token and a block that is nobody's. B is
    room for more blocks than any sequence has.
    """

    token_ids_S: Tensor  # int64
    positions_S: Tensor  # int64
    slots_S: Tensor  # int64
    context_lens_S: Tensor  # int32, the new token counted
    block_tables_SB: Tensor  # int32, -1 pads
    is_real_S: Tensor  # bool
    is_sparse: bool  # whether a context may be longer than index_topk
