"""The whole model: embedding, decoder layers, logits. Knows a Batch and a PagedCache; knows no sequences, no sampling.

The residual stream is fp32 in every mode; products run in the model's type.
Legend: T tokens of the step, D hidden, L rows whose logits are wanted, E experts, K chosen.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.batch import Batch, Rows
from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.model.attention import Attention, PagedAttention, RowStep, Step, plan_step
from inference.model.draft import Draft
from inference.model.linear import Arithmetic, Head, Products
from inference.model.moe import DenseMLP, MoE
from inference.model.norm import RMSNorm
from inference.model.rope import Rope
from inference.parallel import ALONE, Ranks


class DecoderLayer:
    def __init__(
        self,
        config: ModelConfig,
        layer: int,
        tensor: Callable[[str], Tensor],
        products: Products = "plain",
        ranks: Ranks = ALONE,
    ) -> None:
        self._ranks = ranks
        self.attention_norm = RMSNorm(tensor("input_layernorm.weight"), config.rms_norm_eps)
        self.mlp_norm = RMSNorm(tensor("post_attention_layernorm.weight"), config.rms_norm_eps)
        self.attention = Attention(config, layer, lambda name: tensor(f"self_attn.{name}"), products)
        self.mlp: DenseMLP | MoE
        if config.is_dense(layer):
            gate, up, down = (tensor(f"mlp.{part}_proj.weight") for part in ("gate", "up", "down"))
            self.mlp = DenseMLP(gate, up, down, products=products)
        else:
            self.mlp = MoE(config, lambda name: tensor(f"mlp.{name}"), products, ranks)

    def __call__(
        self, hidden_TD: Tensor, step: Step | RowStep, cache: PagedCache, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor | None]:
        """Updates hidden_TD, fp32, in place; returns it and the experts each token chose (None in a dense layer)."""
        attended_TD = self.attention(self.attention_norm(hidden_TD).to(dtype), step, cache)
        hidden_TD.add_(self._ranks.sum(attended_TD))
        normed_TD = self.mlp_norm(hidden_TD)
        if isinstance(self.mlp, DenseMLP):
            return hidden_TD.add_(self._ranks.sum(self.mlp(normed_TD.to(dtype)))), None
        out_TD, ids_TK = self.mlp(normed_TD.to(dtype), normed_TD, in_any_case=isinstance(step, RowStep))
        return hidden_TD.add_(self._ranks.sum(out_TD)), ids_TK


class Model:
    """Built from named tensors of one type and device; `expert_counts` (layers, E) counts routed tokens since start.

    In reference arithmetic the weights must be those that FP8 can hold (see loading.py). With several ranks, `tensor`
    gives this rank's part of each, and `config` becomes what its attention and its cache hold.
    """

    def __init__(
        self,
        config: ModelConfig,
        tensor: Callable[[str], Tensor],
        arithmetic: Arithmetic = "exact",
        ranks: Ranks = ALONE,
        int8: bool = False,
    ) -> None:
        self._ranks = ranks
        self._vocabulary = ranks.range_of(config.vocab_size)
        self.config = config = ranks.share(config)
        embedding = tensor("model.embed_tokens.weight")
        self.dtype, self.device = embedding.dtype, embedding.device
        self._products: Products = "fp8" if arithmetic == "reference" else "int8" if int8 else "plain"
        self.head = Head(embedding if config.tie_word_embeddings else tensor("lm_head.weight"), self._products)
        # The fp32 rows of a tied head, rounded back, are the embedding exactly: one copy does.
        head_VD = self.head.weight_VD
        self.embedding_VD = head_VD if config.tie_word_embeddings and head_VD is not None else embedding
        self.norm = RMSNorm(tensor("model.norm.weight"), config.rms_norm_eps)
        self.rope = Rope(config, self.device)
        self.layers = [
            DecoderLayer(config, layer, partial(layer_tensor, tensor, layer), self._products, ranks)
            for layer in range(config.num_hidden_layers)
        ]
        self._draft = self._read_draft(tensor) if config.num_nextn_predict_layers else None
        self._newest: tuple[Tensor, Step] | None = None  # hidden states of the step that can be drafted from
        self.expert_counts = torch.zeros(
            config.num_hidden_layers, config.n_routed_experts, dtype=torch.int64, device=self.device
        )

    @property
    def is_exact(self) -> bool:
        """Whether products read activations and weights as they are."""
        return self._products == "plain"

    @property
    def can_draft(self) -> bool:
        return self._draft is not None

    @torch.inference_mode()
    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        """Writes the step's tokens into the cache; returns fp32 logits (L, vocab)."""
        step = plan_step(self.config, batch, self.rope.factors(batch.positions_T), cache.block_size, self.dtype)
        hidden_TD = self._embed(batch.token_ids_T)
        chosen: list[tuple[int, Tensor]] = []
        for number, layer in enumerate(self.layers):
            hidden_TD, ids_TK = layer(hidden_TD, step, cache, self.dtype)
            if ids_TK is not None:
                chosen.append((number, ids_TK))
        self._count(chosen)
        if self._draft is not None:
            self._newest = hidden_TD, step
        return self._logits(self.norm(hidden_TD[batch.logits_rows_L]))

    @torch.inference_mode()
    def decode(self, rows: Rows, cache: PagedCache, attention: PagedAttention) -> Tensor:
        """The same for one new token a sequence, fp32 logits (S, V), never waiting for the device: can be captured."""
        step = RowStep(self.rope.factors(rows.positions_S), rows, attention)
        hidden_SD = self._embed(rows.token_ids_S)
        for number, layer in enumerate(self.layers):
            hidden_SD, ids_SK = layer(hidden_SD, step, cache, self.dtype)
            if ids_SK is not None:
                is_real_SK = rows.is_real_S[:, None].expand_as(ids_SK)
                self.expert_counts[number].scatter_add_(0, ids_SK.flatten(), is_real_SK.flatten().to(torch.int64))
        return self._logits(self.norm(hidden_SD))

    @torch.inference_mode()
    def draft(self, batch: Batch, cache: PagedCache) -> Tensor:
        """Right after `forward`, with the same batch but for each row's next token, which is known by now.

        Writes the draft layer's part of the cache; returns fp32 logits (L, vocab) of the token after the next.
        """
        assert self._draft is not None and self._newest is not None, "drafts follow a forward pass"
        (hidden_TD, step), self._newest = self._newest, None
        next_TD = self._embed(batch.token_ids_T)
        return self._logits(self._draft(next_TD, self.norm(hidden_TD), step, cache)[batch.logits_rows_L])

    def _read_draft(self, tensor: Callable[[str], Tensor]) -> Draft:
        """Of several draft layers the first."""
        number = self.config.num_hidden_layers
        own = partial(layer_tensor, tensor, number)
        return Draft(self.config, DecoderLayer(self.config, number, own, self._products, self._ranks), own)

    def _logits(self, normed_LD: Tensor) -> Tensor:
        return self._ranks.gather_logits(self.head(normed_LD))

    def _embed(self, token_ids_T: Tensor) -> Tensor:
        """fp32 (T, D); of several ranks each adds the rows of its part of the vocabulary."""
        own = self._vocabulary
        if self._ranks.size == 1:
            return F.embedding(token_ids_T, self.embedding_VD).float()
        absent_T = (token_ids_T < own.start) | (token_ids_T >= own.stop)
        rows_T = (token_ids_T - own.start).masked_fill(absent_T, 0)
        return self._ranks.sum(F.embedding(rows_T, self.embedding_VD).float().masked_fill_(absent_T[:, None], 0))

    def _count(self, chosen: list[tuple[int, Tensor]]) -> None:
        if not chosen:
            return
        num_experts = self.config.n_routed_experts
        flat = torch.cat([(ids_TK + number * num_experts).flatten() for number, ids_TK in chosen])
        self.expert_counts.view(-1).add_(torch.bincount(flat, minlength=self.expert_counts.numel()))


def layer_tensor(tensor: Callable[[str], Tensor], layer: int, name: str) -> Tensor:
    """A layer's tensor by its name within the layer."""
    return tensor(f"model.layers.{layer}.{name}")
