"""Multi-token prediction: one more decoder layer that guesses the token after the next (see speculation.py).

Row p joins what the model made of token p, after its last norm, with the embedding of token p + 1, known by then:
h'_p = eh_proj [RMSNorm(embed(x_{p+1})) | RMSNorm(h_p)]; then a decoder layer with a place of its own in both caches,
and a norm. Embedding and head are the model's: by design they are shared, and the copies that releases store with this
layer are not read.
Legend: T tokens of the step, D hidden.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.model.attention import Step
from inference.model.linear import Linear
from inference.model.norm import RMSNorm

Layer = Callable[[Tensor, Step, PagedCache, torch.dtype], tuple[Tensor, Tensor | None]]


class Draft:
    def __init__(self, config: ModelConfig, layer: Layer, tensor: Callable[[str], Tensor]) -> None:
        self._layer = layer
        projection = tensor("eh_proj.weight")
        self._dtype = projection.dtype
        self._projection = Linear(projection)  # in bfloat16 in FP8 releases too
        self._embedding_norm = RMSNorm(tensor("enorm.weight"), config.rms_norm_eps)
        self._hidden_norm = RMSNorm(tensor("hnorm.weight"), config.rms_norm_eps)
        self._norm = RMSNorm(tensor("shared_head.norm.weight"), config.rms_norm_eps)

    def __call__(self, next_TD: Tensor, hidden_TD: Tensor, step: Step, cache: PagedCache) -> Tensor:
        """Embeddings of each row's next token and the model's own rows, fp32; returns (T, D) for the model's head."""
        joined = torch.cat((self._embedding_norm(next_TD), self._hidden_norm(hidden_TD)), dim=-1)
        out_TD, _ = self._layer(self._projection(joined.to(self._dtype)).float(), step, cache, self._dtype)
        return self._norm(out_TD)
