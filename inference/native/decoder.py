"""A model's weights in int8, and the step in C++ that reads them (decode.cpp): answers, and prompts too.

It takes models of the default's kind: queries straight from the hidden state, no part without position, latents without
a norm, experts that are merged into one wide product. `unsupported` says what else keeps a model in PyTorch.
Legend: T rows, D hidden, O outputs, I inputs, H heads, G latent groups, R latent rank, L logits rows, V vocabulary.
"""

import ctypes
import mmap
from collections.abc import Callable
from ctypes import Structure, c_float, c_int32, c_void_p
from functools import partial

import torch
from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.model.attention import fold
from inference.model.decoder import layer_tensor
from inference.model.indexer import KEY_NORM_EPS
from inference.model.moe import read_distinct
from inference.model.rope import inverse_frequencies

PANEL, GROUP, FINE_GROUP = 32, 64, 32  # as in product.h: rows of a panel, neighbours that share a scale


class _Matrix(Structure):
    _fields_ = [("weight", c_void_p), ("scale", c_void_p), ("rows", c_int32), ("cols", c_int32), ("group", c_int32)]


class _Shape(Structure):
    _fields_ = [
        *((name, c_int32) for name in "layers hidden vocab heads groups rank rotary".split()),
        *((name, c_int32) for name in "index_heads index_width index_topk".split()),
        *((name, c_int32) for name in "experts expert_groups kept_groups chosen".split()),
        *((name, c_int32) for name in "shared_width expert_width normalise_weights".split()),
        *((name, c_float) for name in "routed_scale norm_eps index_norm_eps softmax_scale rope_magnitude".split()),
    ]


class _Layer(Structure):
    _fields_ = [
        *((name, c_void_p) for name in "attention_norm mlp_norm index_norm_weight index_norm_bias".split()),
        *((name, c_void_p) for name in "index_weights router router_bias distinct_of".split()),
        *((name, _Matrix) for name in "input output gate_up down".split()),
        *((name, c_void_p) for name in "latents index_keys expert_counts".split()),
    ]


class _Rows(Structure):
    _fields_ = [
        *((name, c_int32) for name in "count logits_count block_size table_width".split()),
        *((name, c_void_p) for name in "hidden positions slots sequence tables logits_rows logits".split()),
    ]


def unsupported(config: ModelConfig) -> str | None:
    """Why a configuration stays in PyTorch; None where it need not."""
    width = config.shared_intermediate_size + config.num_experts_per_tok * config.moe_intermediate_size
    reasons = {
        "q_lora_rank": config.q_lora_rank is not None,
        "qk_nope_head_dim": config.qk_nope_head_dim != 0,
        "kv_latent_norm": config.kv_latent_norm,
        "kv_lora_rank above v_head_dim": config.kv_lora_rank > config.v_head_dim,
        "dense layers": config.first_k_dense_replace > 0,
        "more than 341 layers": config.num_hidden_layers > 341,  # 12 phases each, of the 4096 in team.h
        "draft layers": config.num_nextn_predict_layers > 0,
        "widths that are no multiple of 64": any(
            n % GROUP for n in (config.hidden_size, config.num_attention_heads * config.kv_lora_rank, width)
        ),
        "expert widths that are no multiple of 16": bool(config.moe_intermediate_size % (PANEL // 2)),
        "heads that are not all 16 or all 64 wide": (
            {config.kv_lora_rank, config.qk_rope_head_dim, config.index_head_dim} not in ({16}, {64})
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


class NativeDecoder:
    """Its tensors are the model's by name, of any type; `expert_counts` (layers, E) counts routed rows since start."""

    def __init__(
        self,
        library: ctypes.CDLL,
        config: ModelConfig,
        tensor: Callable[[str], Tensor],
        num_threads: int,
    ) -> None:
        """Raises ValueError where the configuration or the experts are of another kind."""
        if reason := unsupported(config):
            raise ValueError(f"the native decoder takes no {reason}")
        self._library = library
        self.config = config
        self._kept: list[Tensor] = []  # what C++ holds addresses of
        self._arena = _Arena()
        self.expert_counts = torch.zeros(config.num_hidden_layers, config.n_routed_experts, dtype=torch.int64)
        self._embedding_VD = tensor("model.embed_tokens.weight")
        self._shape = _shape(config)
        self._norm = self._keep(tensor("model.norm.weight").float())
        self._frequencies = self._keep(inverse_frequencies(config))
        head = self._embedding_VD if config.tie_word_embeddings else tensor("lm_head.weight")
        self._head = self._matrix(head)
        self._layers = (_Layer * config.num_hidden_layers)()
        for number in range(config.num_hidden_layers):
            self._fill(number, partial(layer_tensor, tensor, number))
        self._cache: PagedCache | None = None
        library.sonde_team.restype = c_void_p
        self._team = c_void_p(library.sonde_team(num_threads))

    def __del__(self) -> None:
        if hasattr(self, "_team"):
            self._library.sonde_disband(self._team)

    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        """As Model.forward: writes the rows into the cache, returns fp32 logits (L, V)."""
        self._bind(cache)
        lengths_S = batch.query_start_S1.diff()
        hidden_TD = torch.nn.functional.embedding(batch.token_ids_T, self._embedding_VD).float()
        sequence_T = torch.repeat_interleave(torch.arange(len(lengths_S), dtype=torch.int32), lengths_S)
        tables_SB = batch.block_tables_SB.contiguous()
        logits_rows_L = batch.logits_rows_L.to(torch.int32)
        logits_LV = hidden_TD.new_empty(len(logits_rows_L), self.config.vocab_size)
        rows = _Rows(
            *(len(hidden_TD), len(logits_rows_L), cache.block_size, tables_SB.shape[1]),
            *(hidden_TD.data_ptr(), batch.positions_T.data_ptr(), batch.slot_mapping_T.data_ptr()),
            *(sequence_T.data_ptr(), tables_SB.data_ptr(), logits_rows_L.data_ptr(), logits_LV.data_ptr()),
        )
        self._library.sonde_decode(
            self._team,
            *(ctypes.byref(self._shape), self._layers, c_void_p(self._norm), c_void_p(self._frequencies)),
            *(ctypes.byref(self._head), ctypes.byref(rows)),
        )
        return logits_LV

    def _bind(self, cache: PagedCache) -> None:
        if cache is self._cache:
            return
        if cache.latent_LNBGW.dtype != torch.bfloat16:
            raise ValueError(f"the native decoder reads a bfloat16 cache, not {cache.latent_LNBGW.dtype}")
        if cache.block_size & (cache.block_size - 1):
            raise ValueError(f"block_size = {cache.block_size}: the native decoder wants a power of two")
        self._cache = cache
        for number, layer in enumerate(self._layers):
            layer.latents = cache.latent_LNBGW[number].data_ptr()
            layer.index_keys = cache.index_LNBJ[number].data_ptr()

    def _fill(self, number: int, tensor: Callable[[str], Tensor]) -> None:
        config, layer = self.config, self._layers[number]
        layer.attention_norm = self._keep(tensor("input_layernorm.weight").float())
        layer.mlp_norm = self._keep(tensor("post_attention_layernorm.weight").float())
        layer.index_norm_weight = self._keep(tensor("self_attn.indexer.k_norm.weight").float())
        layer.index_norm_bias = self._keep(tensor("self_attn.indexer.k_norm.bias").float())
        index_weights = tensor("self_attn.indexer.weights_proj.weight").float()
        layer.index_weights = self._keep(index_weights * config.index_scale)
        names = ("q_proj", "kv_a_proj_with_mqa", "indexer.wk", "indexer.wq_b")
        layer.input = self._matrix(torch.cat([tensor(f"self_attn.{name}.weight") for name in names]))
        output_DHV, value_up_HVR = (
            torch.unflatten(tensor(f"self_attn.{name}_proj.weight"), dim, (config.num_attention_heads, -1))
            for name, dim in (("o", 1), ("kv_b", 0))
        )
        layer.output = self._matrix(fold(output_DHV, value_up_HVR), FINE_GROUP)
        router_DE = tensor("mlp.gate.weight").float().T
        layer.router = self._keep(torch.nn.functional.pad(router_DE, (0, -config.n_routed_experts % (PANEL // 2))))
        layer.router_bias = self._keep(tensor("mlp.gate.e_score_correction_bias").float())
        layer.expert_counts = self.expert_counts[number].data_ptr()
        experts, distinct_of = read_distinct(range(config.n_routed_experts), lambda name: tensor(f"mlp.{name}"))
        if len(experts) != config.num_experts_per_tok:
            raise ValueError(f"the native decoder takes no layer {number} with {len(experts)} distinct experts")
        layer.distinct_of = self._keep(torch.tensor(list(distinct_of.values()), dtype=torch.int32))
        shared = [tuple(tensor(f"mlp.shared_experts.{part}_proj.weight") for part in ("gate", "up", "down"))]
        gates, ups, downs = zip(*(shared if config.n_shared_experts else []), *experts, strict=True)
        layer.gate_up = self._matrix(_interleave(torch.cat(gates), torch.cat(ups)))
        layer.down = self._matrix(torch.cat(downs, dim=1), FINE_GROUP)

    def _keep(self, tensor: Tensor) -> int:
        self._kept.append(tensor.contiguous())
        return self._kept[-1].data_ptr()

    def _matrix(self, weight_OI: Tensor, group: int = GROUP) -> _Matrix:
        """int8 with one scale a row, rows padded with zeros to whole panels; `group` is of what it multiplies."""
        weight_OI = weight_OI.float().contiguous()
        rows, cols = weight_OI.shape
        place = self._arena.take(_padded(rows) * cols)
        scale = self._keep(torch.empty(_padded(rows)))
        self._library.sonde_pack(c_void_p(weight_OI.data_ptr()), rows, cols, c_void_p(place), c_void_p(scale))
        return _Matrix(place, scale, _padded(rows), cols, group)


class _Arena:
    """Memory for all weights, in huge pages where the system has them: a third less time to read."""

    CHUNK = 64 * 2**20

    def __init__(self) -> None:
        self._chunks: list[Tensor] = []
        self._free = 0  # bytes left in the last one

    def take(self, num_bytes: int) -> int:
        """The address of the next so many bytes."""
        if num_bytes > self._free:
            self._free = max(num_bytes, self.CHUNK)
            memory = mmap.mmap(-1, self._free, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                memory.madvise(mmap.MADV_HUGEPAGE)
            self._chunks.append(torch.frombuffer(memory, dtype=torch.uint8))
        address = self._chunks[-1].data_ptr() + len(self._chunks[-1]) - self._free
        self._free -= num_bytes
        return address


def _padded(rows: int) -> int:
    return -(-rows // PANEL) * PANEL


def _interleave(gate_FD: Tensor, up_FD: Tensor) -> Tensor:
    """Halves of panels in turns, so that each has a gate and what it opens for."""
    halves = (torch.unflatten(half_FD, 0, (-1, PANEL // 2)) for half_FD in (gate_FD, up_FD))
    return torch.stack(tuple(halves), dim=1).flatten(0, 2)


def _shape(config: ModelConfig) -> _Shape:
    return _Shape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        vocab=config.vocab_size,
        heads=config.num_attention_heads,
        groups=config.num_latent_groups,
        rank=config.kv_lora_rank,
        rotary=config.qk_rope_head_dim,
        index_heads=config.index_n_heads,
        index_width=config.index_head_dim,
        index_topk=config.index_topk,
        experts=config.n_routed_experts,
        expert_groups=config.n_group,
        kept_groups=config.topk_group,
        chosen=config.num_experts_per_tok,
        shared_width=config.shared_intermediate_size,
        expert_width=config.moe_intermediate_size,
        normalise_weights=config.norm_topk_prob,
        routed_scale=config.routed_scaling_factor,
        norm_eps=config.rms_norm_eps,
        index_norm_eps=KEY_NORM_EPS,
        softmax_scale=config.softmax_scale,
        rope_magnitude=config.rotary_magnitude,
    )
