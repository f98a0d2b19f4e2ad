"""Prompts read by the kernels of decode: each token is a row with a context of its own, of all tokens up to itself.

All rows of a step are written to the cache before any is read, so that a row sees what stands before it in the same
step. Not captured: a step's shapes are its own.
Legend: T tokens of the step, S sequences, B blocks of the longest sequence.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inference.batch import Batch, Rows
from inference.cache import PagedCache
from inference.gpu.forward import KernelForward
from inference.model import Model


class KernelModel:
    """The model as its engine sees it. Its cache is one, of which it must be told first."""

    def __init__(self, model: Model, cache: PagedCache, max_model_len: int, max_rows: int) -> None:
        """ValueError says why kernels cannot compute it. A step has at most `max_rows` tokens."""
        self._model, self._cache = model, cache
        self._forward = KernelForward(model, cache, max_model_len, max_rows)

    @property
    def expert_counts(self) -> Tensor:
        return self._model.expert_counts

    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        """As Model.forward."""
        assert cache is self._cache
        return self._forward(rows_of(batch, self._model.config.index_topk), batch.logits_rows_L)


def rows_of(batch: Batch, index_topk: int) -> Rows:
    lengths_S = batch.query_start_S1.diff()
    sequence_T = torch.repeat_interleave(lengths_S, output_size=len(batch.token_ids_T))
    return Rows(
        token_ids_S=batch.token_ids_T,
        positions_S=batch.positions_T,
        slots_S=batch.slot_mapping_T,
        context_lens_S=(batch.positions_T + 1).to(torch.int32),
        block_tables_SB=batch.block_tables_SB[sequence_T],
        is_real_S=torch.ones_like(batch.token_ids_T, dtype=torch.bool),
        is_sparse=bool(batch.context_lens_S.max() > index_topk),
    )
