"""The whole model: embedding, decoder layers, logits. Knows a Batch and a PagedCache; knows no sequences, no sampling.

The residual stream is fp32 in every mode; products run in the model's type.
Legend: T tokens of the step, D hidden, L rows whose logits are wanted, E experts, K chosen.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.model.attention import Attention, Step, plan_step
from inference.model.linear import Arithmetic
from inference.model.moe import DenseMLP, MoE
from inference.model.norm import RMSNorm
from inference.model.rope import Rope


class DecoderLayer:
    def __init__(self, config: ModelConfig, layer: int, tensor: Callable[[str], Tensor], fp8: bool = False) -> None:
        self._attention_norm = RMSNorm(tensor("input_layernorm.weight"), config.rms_norm_eps)
        self._mlp_norm = RMSNorm(tensor("post_attention_layernorm.weight"), config.rms_norm_eps)
        self._attention = Attention(config, layer, lambda name: tensor(f"self_attn.{name}"), fp8)
        self.mlp: DenseMLP | MoE
        if config.is_dense(layer):
            gate, up, down = (tensor(f"mlp.{part}_proj.weight") for part in ("gate", "up", "down"))
            self.mlp = DenseMLP(gate, up, down, fp8=fp8)
        else:
            self.mlp = MoE(config, lambda name: tensor(f"mlp.{name}"), fp8)

    def __call__(
        self, hidden_TD: Tensor, step: Step, cache: PagedCache, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor | None]:
        """hidden_TD in fp32; returns it updated, and the experts each token chose (None in a dense layer)."""
        hidden_TD = hidden_TD + self._attention(self._attention_norm(hidden_TD).to(dtype), step, cache)
        normed_TD = self._mlp_norm(hidden_TD)
        if isinstance(self.mlp, DenseMLP):
            return hidden_TD + self.mlp(normed_TD.to(dtype)), None
        out_TD, ids_TK = self.mlp(normed_TD.to(dtype), normed_TD)
        return hidden_TD + out_TD, ids_TK


class Model:
    """Built from named tensors of one type and device; `expert_counts` (layers, E) counts routed tokens since start.

    In reference arithmetic the weights must be those that FP8 can hold (see loading.py).
    """

    def __init__(self, config: ModelConfig, tensor: Callable[[str], Tensor], arithmetic: Arithmetic = "exact") -> None:
        self.config = config
        embedding = tensor("model.embed_tokens.weight")
        self.dtype, self.device = embedding.dtype, embedding.device
        # Logits are fp32. Where the head is tied, its fp32 rows rounded back are the embedding exactly: one copy does.
        self._head_VD = (embedding if config.tie_word_embeddings else tensor("lm_head.weight")).float()
        self._embedding_VD = self._head_VD if config.tie_word_embeddings else embedding
        self._norm = RMSNorm(tensor("model.norm.weight"), config.rms_norm_eps)
        self._rope = Rope(config, self.device)
        self.layers = [
            DecoderLayer(config, layer, partial(_layer_tensor, tensor, layer), arithmetic == "reference")
            for layer in range(config.num_hidden_layers)
        ]
        self.expert_counts = torch.zeros(
            config.num_hidden_layers, config.n_routed_experts, dtype=torch.int64, device=self.device
        )

    @torch.inference_mode()
    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        """Writes the step's tokens into the cache; returns fp32 logits (L, vocab)."""
        step = plan_step(self.config, batch, self._rope.factors(batch.positions_T), cache.block_size)
        hidden_TD = F.embedding(batch.token_ids_T, self._embedding_VD).float()
        chosen: list[tuple[int, Tensor]] = []
        for number, layer in enumerate(self.layers):
            hidden_TD, ids_TK = layer(hidden_TD, step, cache, self.dtype)
            if ids_TK is not None:
                chosen.append((number, ids_TK))
        self._count(chosen)
        return F.linear(self._norm(hidden_TD[batch.logits_rows_L]), self._head_VD)

    def _count(self, chosen: list[tuple[int, Tensor]]) -> None:
        if not chosen:
            return
        num_experts = self.config.n_routed_experts
        flat = torch.cat([(ids_TK + number * num_experts).flatten() for number, ids_TK in chosen])
        self.expert_counts.view(-1).add_(torch.bincount(flat, minlength=self.expert_counts.numel()))


def _layer_tensor(tensor: Callable[[str], Tensor], layer: int, name: str) -> Tensor:
    return tensor(f"model.layers.{layer}.{name}")
