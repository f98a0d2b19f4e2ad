"""A decode step by kernels: what Model.decode computes, in exact bfloat16, in a fifth of the launches.

Sums into the residual stream ride on the norms after them, rotations on the writing of the cache, the gate is one
kernel, and so is the activation of an MLP. Products stay cuBLAS's.
Legend: S rows, D hidden, H heads, G groups, R latent rank, P rotary width, L layers, K chosen experts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.batch import Rows
from inference.cache import PagedCache
from inference.fp8_cache import Fp8PagedCache
from inference.gpu.pages import KernelPages, pages_obstacle
from inference.kernels.combine import combine
from inference.kernels.gate import CONFIGS as GATE_CONFIGS
from inference.kernels.gate import Choice, choose_experts
from inference.kernels.grouped_linear_bf16 import DOWN, GATE_UP, down_bf16, gate_up_bf16
from inference.kernels.index_pages import write_index_pages
from inference.kernels.launch import BF16
from inference.kernels.norm import rms_norm
from inference.kernels.permute import permute
from inference.kernels.rope_cache import rotate_and_write, turns_of
from inference.kernels.wide_experts import activate_wide
from inference.model import Model
from inference.model.attention import Attention, Query
from inference.model.indexer import KEY_NORM_EPS
from inference.model.moe import DenseMLP, MoE

# Columns from which several programs share the gate's sum of a few rows: below, each would have a step or two.
SPLIT_GATE_FROM = 2048
FEW_ROWS = 16  # of an expert on average: fewer fill the smallest tile badly, and a larger one worse


def kernel_obstacle(model: Model, cache: PagedCache) -> str | None:
    """Why a model's steps cannot be computed so."""
    config = model.config
    if model.dtype != BF16 or not model.is_exact:
        return "it is for exact bfloat16"
    if isinstance(cache, Fp8PagedCache):
        return "it writes its cache in bfloat16"
    for name in ("hidden_size", "moe_intermediate_size"):
        if getattr(config, name) % 8:
            return f"{name} = {getattr(config, name)}: a multiple of 8 is needed"
    return pages_obstacle(config, cache.block_size)


class KernelForward:
    """Built for one cache; positions up to `max_model_len`, rows up to `max_rows`."""

    def __init__(self, model: Model, cache: PagedCache, max_model_len: int, max_rows: int) -> None:
        if (obstacle := kernel_obstacle(model, cache)) is not None:
            raise ValueError(obstacle)
        config, device = model.config, model.device
        self._model, self._cache, self._config = model, cache, config
        self._pages = KernelPages(max_rows, device)
        self._turns = turns_of(model.rope.factors(torch.arange(max_model_len, device=device)))
        self._choice = Choice(
            config.n_group,
            config.topk_group,
            config.num_experts_per_tok,
            config.routed_scaling_factor,
            config.norm_topk_prob,
        )
        moes = [layer.mlp for layer in model.layers if isinstance(layer.mlp, MoE)]
        self._gates = [moe.gate.weight_ED.to(BF16) for moe in moes]
        self._distinct = [moe.distinct_of_E.int() for moe in moes]
        self._experts = [None if moe.is_wide else stack_experts(moe) for moe in moes]
        self._first_moe = len(model.layers) - len(moes)
        shape = (len(moes), max_rows, config.num_experts_per_tok)
        self._ids_LSK = torch.zeros(shape, dtype=torch.int32, device=device)
        self._offsets_L = torch.arange(len(moes), device=device)[:, None, None] * config.n_routed_experts

    @torch.inference_mode()
    def __call__(self, rows: Rows, wanted_L: Tensor | None = None) -> Tensor:
        """fp32 logits (S, V), or (L, V) of the rows that are wanted."""
        model, eps = self._model, self._config.rms_norm_eps
        hidden_SD = F.embedding(rows.token_ids_S, model.embedding_VD).float()
        out_SD = torch.zeros_like(hidden_SD, dtype=model.dtype)
        for number, layer in enumerate(model.layers):
            normed_SD = rms_norm(out_SD, layer.attention_norm.weight_D, eps, residual_TD=hidden_SD)
            attended_SD = self._attend(number, layer.attention, normed_SD, rows)
            normed_SD = rms_norm(attended_SD, layer.mlp_norm.weight_D, eps, residual_TD=hidden_SD)
            if isinstance(layer.mlp, DenseMLP):
                out_SD = _feed_dense(layer.mlp, normed_SD)
            else:
                out_SD = self._feed(number - self._first_moe, layer.mlp, normed_SD)
        self._count(rows)
        hidden_SD.add_(out_SD)
        return model.head(model.norm(hidden_SD if wanted_L is None else hidden_SD[wanted_L]))

    def _attend(self, layer: int, attention: Attention, x_SD: Tensor, rows: Rows) -> Tensor:
        config, heads, groups = self._config, self._config.num_attention_heads, self._config.num_latent_groups
        query_SX, latent, rotary, index_key_SJ = torch.split(attention.input(x_SD), attention.input_widths, dim=-1)
        source_SX = x_SD
        if attention.query_norm is not None:
            source_SX = rms_norm(query_SX, attention.query_norm.weight_D, config.rms_norm_eps)
            query_SX = attention.query_b(source_SX)
        nope_SHN, rotary_SHP = torch.split(
            torch.unflatten(query_SX, -1, (heads, config.qk_head_dim)),
            [config.qk_nope_head_dim, config.qk_rope_head_dim],
            dim=-1,
        )
        rank = config.kv_lora_rank if config.qk_nope_head_dim else 0
        query_SHX = x_SD.new_empty(len(x_SD), heads, rank + config.qk_rope_head_dim)
        if rank:
            query_SHX[..., :rank] = torch.einsum("thn,hnr->thr", nope_SHN, attention.key_up_HNR)
        norm = attention.latent_norm
        rotate_and_write(
            rotary_SHP,
            torch.unflatten(latent, -1, (groups, -1)),
            torch.unflatten(rotary, -1, (groups, -1)),
            rows.positions_S,
            rows.slots_S,
            self._turns,
            self._cache.latent_pages(layer),
            norm_weight_R=None if norm is None else norm.weight_D,
            eps=config.rms_norm_eps,
            out_THP=query_SHX[..., rank:],
        )
        self._write_index_keys(layer, attention, index_key_SJ, rows)
        query = Query(nope_SHN, query_SHX[..., rank:])
        if rows.is_sparse:
            query.index_TIJ = attention.indexer.queries(source_SX, self._model.rope.factors(rows.positions_S))
            query.index_weights_TI = attention.indexer.head_weights(x_SD)
        out_SHR = self._pages.attend(layer, query_SHX, query, rows, self._cache, config)
        return attention.output(attention.value_up(out_SHR).flatten(1))

    def _write_index_keys(self, layer: int, attention: Attention, key_SJ: Tensor, rows: Rows) -> None:
        pages = self._cache.index_pages(layer)
        assert pages is not None
        indexer = attention.indexer
        write_index_pages(
            key_SJ,
            indexer.norm_weight,
            indexer.norm_bias,
            rows.positions_S,
            rows.slots_S,
            self._turns,
            pages,
            eps=KEY_NORM_EPS,
        )

    def _feed(self, number: int, moe: MoE, x_SD: Tensor) -> Tensor:
        ids_SK = self._ids_LSK[number, : len(x_SD)]
        weights_SK = x_SD.new_empty(ids_SK.shape, dtype=torch.float32)
        config = GATE_CONFIGS[0] if x_SD.shape[1] < SPLIT_GATE_FROM else None
        choose_experts(
            x_SD, self._gates[number], moe.gate.bias_E, self._choice, out=(ids_SK, weights_SK), config=config
        )
        if moe.wide is not None:
            both_SX = moe.wide.activate.both(x_SD)
            distinct_E = self._distinct[number]
            return moe.wide.down(activate_wide(both_SX, moe.shared_width, moe.width, ids_SK, weights_SK, distinct_E))
        experts = self._experts[number]
        assert experts is not None
        out_SD = experts(x_SD, self._distinct[number][ids_SK.long()], weights_SK)
        return out_SD if moe.shared is None else out_SD.float().add_(_feed_dense(moe.shared, x_SD))

    def _count(self, rows: Rows) -> None:
        if not len(self._ids_LSK):
            return
        num_rows = len(rows.token_ids_S)
        flat = (self._ids_LSK[:, :num_rows] + self._offsets_L).flatten()
        is_real = rows.is_real_S.to(torch.int64)[None, :, None].expand(len(self._ids_LSK), -1, self._choice.num_chosen)
        counts = self._model.expert_counts[self._first_moe :]
        counts.view(-1).scatter_add_(0, flat, is_real.flatten())


class GroupedExperts:
    """Each row's own experts, computed expert by expert for all rows that chose it."""

    def __init__(self, gate_up_UXD: Tensor, down_UDF: Tensor) -> None:
        """(U, 2F, D) and (U, D, F) of the distinct experts."""
        self._gate_up_UXD, self._down_UDF = gate_up_UXD, down_UDF

    def __call__(self, x_SD: Tensor, distinct_SK: Tensor, weights_SK: Tensor) -> Tensor:
        num_distinct = len(self._down_UDF)
        few = distinct_SK.numel() < FEW_ROWS * num_distinct
        gate_up = next(c for c in GATE_UP if c.blocks["BLOCK_M"] == 16) if few else GATE_UP[0]
        down = next(c for c in DOWN if c.blocks["BLOCK_M"] == gate_up.blocks["BLOCK_M"])
        permutation = permute(distinct_SK, num_distinct, gate_up.blocks["BLOCK_M"])
        activated_RF = gate_up_bf16(x_SD, self._gate_up_UXD, permutation, config=gate_up)
        rows_RD = down_bf16(activated_RF, self._down_UDF, permutation, config=down)
        return combine(rows_RD, permutation.row_TK, weights_SK)


def stack_experts(moe: MoE) -> GroupedExperts:
    """The layer's own experts keep their weights as parts of the stacks: nothing is held twice for long."""
    gate_up_UXD = torch.stack([expert.activate.both.weight for expert in moe.experts])
    down_UDF = torch.stack([expert.down.weight for expert in moe.experts])
    for expert, gate_up_XD, down_DF in zip(moe.experts, gate_up_UXD, down_UDF, strict=True):
        expert.activate.both.weight, expert.down.weight = gate_up_XD, down_DF
    return GroupedExperts(gate_up_UXD, down_UDF)


def _feed_dense(mlp: DenseMLP, x_SD: Tensor) -> Tensor:
    both_SX = mlp.activate.both(x_SD)
    return mlp.down(activate_wide(both_SX, both_SX.shape[1] // 2, 1))
