"""Multi-token prediction: one more decoder layer that guesses the token after the next (see speculation.py).

Row p joins what the model made of token p, after its last norm, with the embedding of token p + 1, known by then:
h'_p = eh_proj [RMSNorm(embed(x_{p+1})) | RMSNorm(h_p)]; then a decoder layer with a place of its own in both caches,
a norm and a head. Its logits guess token p + 2.
Legend: T tokens of the step, D hidden, L rows whose logits are wanted, V vocabulary.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.model.attention import Step
from inference.model.linear import Linear
from inference.model.norm import RMSNorm

Layer = Callable[[Tensor, Step, PagedCache, torch.dtype], tuple[Tensor, Tensor | None]]


class Draft:
    """Releases store the model's own embedding and head a second time: what is equal is kept once."""

    def __init__(
        self,
        config: ModelConfig,
        layer: Layer,
        tensor: Callable[[str], Tensor],
        embedding_VD: Tensor,
        head_VD: Tensor,
    ) -> None:
        self._layer = layer
        self._embedding_VD = _share(tensor("embed_tokens.weight"), embedding_VD)
        self._head_VD = _share(tensor("shared_head.head.weight"), head_VD)
        projection = tensor("eh_proj.weight")
        self._dtype = projection.dtype
        self._projection = Linear(projection)  # in bfloat16 in FP8 releases too
        self._embedding_norm = RMSNorm(tensor("enorm.weight"), config.rms_norm_eps)
        self._hidden_norm = RMSNorm(tensor("hnorm.weight"), config.rms_norm_eps)
        self._norm = RMSNorm(tensor("shared_head.norm.weight"), config.rms_norm_eps)

    def __call__(self, hidden_TD: Tensor, next_ids_T: Tensor, rows_L: Tensor, step: Step, cache: PagedCache) -> Tensor:
        """Writes every row into the caches; fp32 logits (L, V)."""
        embedded_TD = self._embedding_norm(F.embedding(next_ids_T, self._embedding_VD))
        joined = torch.cat((embedded_TD, self._hidden_norm(hidden_TD)), dim=-1)
        out_TD, _ = self._layer(self._projection(joined.to(self._dtype)).float(), step, cache, self._dtype)
        return F.linear(self._norm(out_TD[rows_L]), self._head_VD)


def _share(stored: Tensor, kept: Tensor) -> Tensor:
    stored = stored.to(kept.dtype)
    return kept if torch.equal(stored, kept) else stored
