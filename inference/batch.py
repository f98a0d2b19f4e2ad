"""One step of the model: which tokens, of which sequences, go where. Plain tensors, no policy.

Legend: T tokens of this step, S sequences, B blocks of the longest sequence, L rows whose logits are wanted.
"""

from dataclasses import dataclass

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
