"""Where a CPU has AMX: a model whose prompts are read by PyTorch and whose answers are written in C++, each with
weights of its own."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.checkpoint import open_checkpoint
from inference.model import Model
from inference.native import library
from inference.native.decoder import NativeDecoder

# Rows of one sequence up to which its part of a step is decoding. A product of a few rows is as long as reading its
# weights, and those of the native decoder are half as long.
FEW_ROWS = 8


@dataclass(frozen=True, slots=True)
class NativeModel:
    """Sequences with few new tokens go to the decoder, others to the model; both write the same cache."""

    model: Model
    decoder: NativeDecoder

    @property
    def expert_counts(self) -> Tensor:
        return self.model.expert_counts + self.decoder.expert_counts

    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        """As Model.forward."""
        few_S = batch.query_start_S1.diff() <= FEW_ROWS
        if few_S.all():
            return self.decoder.forward(batch, cache)
        if not few_S.any():
            return self.model.forward(batch, cache)
        logits_LV = torch.empty(len(batch.logits_rows_L), self.model.config.vocab_size)
        for side, chosen_S in ((self.decoder, few_S), (self.model, ~few_S)):
            part, places_L = _part(batch, chosen_S)
            logits_LV[places_L] = side.forward(part, cache)
        return logits_LV


def open_decoder(path: Path, num_threads: int) -> NativeDecoder:
    """The decoder of a checkpoint directory. ValueError says why there can be none."""
    compiled = library.load()
    if compiled is None:
        raise ValueError("this machine has no C++ compiler, or no instructions that would make it faster")
    with open_checkpoint(path) as checkpoint:
        tensor = partial(checkpoint.read, dtype=torch.bfloat16)
        return NativeDecoder(compiled, checkpoint.config, tensor, num_threads)


def _part(batch: Batch, chosen_S: Tensor) -> tuple[Batch, Tensor]:
    """The chosen sequences of a step as a step of their own, and which of its logits rows are theirs."""
    lengths_S = batch.query_start_S1.diff()
    chosen_T = torch.repeat_interleave(chosen_S, lengths_S)
    places_L = chosen_T[batch.logits_rows_L].nonzero()[:, 0]
    starts_S1 = torch.nn.functional.pad(lengths_S[chosen_S].cumsum(0), (1, 0)).to(batch.query_start_S1.dtype)
    new_rows_T = chosen_T.cumsum(0) - 1
    part = Batch(
        token_ids_T=batch.token_ids_T[chosen_T],
        positions_T=batch.positions_T[chosen_T],
        slot_mapping_T=batch.slot_mapping_T[chosen_T],
        query_start_S1=starts_S1,
        context_lens_S=batch.context_lens_S[chosen_S],
        block_tables_SB=batch.block_tables_SB[chosen_S],
        logits_rows_L=new_rows_T[batch.logits_rows_L[places_L]],
    )
    return part, places_L
