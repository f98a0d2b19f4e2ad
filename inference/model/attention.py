"""Multi-head latent attention with latent groups, over the paged cache.

Keys and values exist only as one latent (R wide) and one rotary key (P wide) per group and token; the absorbed form
folds the key half of kv_b into the query and the value half into the output, the expanded form spells keys and values
out. Both are exact; the cheaper one is taken by operation count.
Legend: T tokens of the step or of one chunk of rows, C cached tokens of one sequence, D hidden, H heads, G groups,
R latent rank, P rotary width, N width without position, V value width, J indexer key width, W = R + P.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.batch import Batch, Rows
from inference.cache import Blocks, PagedCache, as_blocks
from inference.config import ModelConfig
from inference.model.indexer import Indexer, hide_future, keep_topk, score, select_topk
from inference.model.linear import Linear, Products
from inference.model.norm import RMSNorm
from inference.model.rope import rotate_neighbours
from inference.quantization import round_groups

# Scores of one chunk of rows, fp32. 64 MiB keeps 227 rows together at 8192 tokens and 9 heads, enough for full matrix
# speed; without a bound one 8192-row chunk at 128K tokens and 64 index heads would ask for 256 GiB.
SCORE_BYTES = 64 * 2**20
# Latents gathered for one group of rows: each row has its own, so more of them together save nothing.
GATHER_BYTES = 4 * 2**20
# Gathering pays above this many times index_topk: the first where a fused kernel takes the masked pairs, the second
# where none does. 64 rows on one AVX-512 core, masked / gathered in ms: SmolLM2's heads, 512 kept, 14 / 24 at 4096 and
# 26 / 31 at 8192 in bfloat16, 33 / 28 in fp32; 16 heads of the released sizes, 256 kept, 37 / 37 at 1024,
# 83 / 47 at 2048.
GATHER_FACTOR_FUSED = 16
GATHER_FACTOR = 4
# A token, and the guess after it, gather sooner. 2 rows, 16 heads of the released sizes, 1024 kept, bfloat16, one core,
# masked / gathered in ms: 17 / 19 at 1500 tokens, 21 / 17 at 2048, 60 / 36 at 4000; 4 rows 27 / 37 at 2048.
DECODE_ROWS = 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows [start, stop) of the step, all of one sequence, which see at most its first `length` tokens."""

    start: int
    stop: int
    length: int
    kind: Literal["dense", "masked", "gathered"]  # the last two see only what the indexer keeps of their past
    visible_TC: Tensor | None = None  # see as_mask; of dense rows, None where each sees all `length` tokens
    causal: bool = False  # the rows are the whole sequence so far, so a kernel's own causal mask is right


@dataclass(frozen=True, slots=True)
class Span:
    """One sequence's part of a step, cut into chunks of rows."""

    start: int
    stop: int
    context_len: int
    block_ids_B: Tensor
    blocks: Blocks
    chunks: list[Chunk]


@dataclass(slots=True)
class Query:
    """What one layer asks with; the index parts only where a sequence is longer than index_topk."""

    nope_THN: Tensor
    rotary_THP: Tensor
    index_TIJ: Tensor | None = None
    index_weights_TI: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What all layers share: made once from the batch."""

    rope: Tensor
    slots_T: Tensor
    spans: list[Span] = field(default_factory=list)
    is_sparse: bool = False


class PagedAttention(Protocol):
    """Attention of rows over the pages of the cache, without asking the device for anything."""

    def attend(
        self, layer: int, query_SHX: Tensor, query: Query, rows: Rows, cache: PagedCache, config: ModelConfig
    ) -> Tensor:
        """Averages of latents (S, H, R), of the queries over latent and rotary key or over the rotary key alone.

        Where the rows are sparse each sees what its index scores keep, which is all of a context up to index_topk.
        """


@dataclass(frozen=True, slots=True)
class RowStep:
    """What all layers share of a step of single rows."""

    rope: Tensor
    rows: Rows
    attention: PagedAttention

    @property
    def slots_T(self) -> Tensor:
        return self.rows.slots_S

    @property
    def is_sparse(self) -> bool:
        return self.rows.is_sparse


def plan_step(config: ModelConfig, batch: Batch, rope: Tensor, block_size: int, dtype: torch.dtype) -> Step:
    device = batch.token_ids_T.device
    starts, lengths = batch.query_start_S1.tolist(), batch.context_lens_S.tolist()
    tables = batch.block_tables_SB.tolist()
    block_ids_SB = batch.block_tables_SB.to(torch.int64)
    spans = []
    for s, length in enumerate(lengths):
        num_blocks = -(-length // block_size)
        block_ids_B = block_ids_SB[s, :num_blocks]
        chunks = list(_cut(config, starts[s], starts[s + 1], length, device, dtype))
        blocks = as_blocks(block_ids_B, tables[s][:num_blocks])
        spans.append(Span(starts[s], starts[s + 1], length, block_ids_B, blocks, chunks))
    return Step(rope, batch.slot_mapping_T, spans, any(length > config.index_topk for length in lengths))


def _cut(
    config: ModelConfig, start: int, stop: int, context_len: int, device: torch.device, dtype: torch.dtype
) -> Iterator[Chunk]:
    """Rows with at most index_topk tokens to see are dense; what one chunk needs at once is bounded."""
    offset = context_len - stop  # of a row's position
    sparse = min(max(start, config.index_topk - offset), stop)
    for row, end in _steps(start, sparse, SCORE_BYTES // (4 * max(1, sparse + offset) * config.num_attention_heads)):
        yield _dense_chunk(row, end, end + offset, device, dtype)
    gathers = context_len > _gather_from(config)
    row_bytes = 4 * context_len * (1 if gathers else config.num_attention_heads)
    for row, end in _steps(sparse, stop, SCORE_BYTES // row_bytes):
        yield Chunk(row, end, end + offset, "gathered" if gathers or end - row <= DECODE_ROWS else "masked")


def _dense_chunk(start: int, stop: int, length: int, device: torch.device, dtype: torch.dtype) -> Chunk:
    if stop == start + 1:
        return Chunk(start, stop, length, "dense")
    positions_C = torch.arange(length, device=device)
    visible_TC = positions_C <= positions_C[start - stop :, None]
    return Chunk(start, stop, length, "dense", as_mask(visible_TC, dtype), causal=stop - start == length)


def as_mask(visible_TC: Tensor, dtype: torch.dtype) -> Tensor:
    """What the attention kernel reads: 0 or -inf in bfloat16 on a CPU, where its own conversion takes ten times as
    long (3 ms for 512 times 2048), bool elsewhere."""
    if dtype != torch.bfloat16 or visible_TC.device.type != "cpu":
        return visible_TC
    return visible_TC.to(torch.int16).sub_(1).bitwise_and_(-128).view(dtype)  # the bits 0xff80 are -inf


def _steps(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    step = max(1, step)
    return ((row, min(row + step, stop)) for row in range(start, stop, step))


class Attention:
    def __init__(
        self, config: ModelConfig, layer: int, tensor: Callable[[str], Tensor], products: Products = "plain"
    ) -> None:
        self._fp8 = products == "fp8"
        self._config = config
        self._layer = layer
        heads, groups = config.num_attention_heads, config.num_latent_groups
        nope, rank = config.qk_nope_head_dim, config.kv_lora_rank
        query = tensor("q_proj.weight" if config.q_lora_rank is None else "q_a_proj.weight")
        key = tensor("kv_a_proj_with_mqa.weight")
        index_key = tensor("indexer.wk.weight")
        # Everything that reads x in one product: one [1,576]x[576,1024] instead of three, 120 -> 50 us.
        self.input = Linear(torch.cat((query, key, index_key)), products)
        self.input_widths = [len(query), groups * rank, groups * config.qk_rope_head_dim, len(index_key)]
        self.query_norm: RMSNorm | None = None
        if config.q_lora_rank is not None:
            self.query_norm = RMSNorm(tensor("q_a_layernorm.weight"), config.rms_norm_eps)
            self.query_b = Linear(tensor("q_b_proj.weight"), products)
        self.latent_norm: RMSNorm | None = None
        if config.kv_latent_norm:
            self.latent_norm = RMSNorm(tensor("kv_a_layernorm.weight"), config.rms_norm_eps)
        kv_b_HXR = torch.unflatten(tensor("kv_b_proj.weight"), 0, (heads, -1))
        value_up_HVR = kv_b_HXR[:, nope:]
        self.key_up_HNR = kv_b_HXR[:, :nope].clone()
        self.value_up_HVR: Tensor | None = None
        output = tensor("o_proj.weight")
        if rank <= config.v_head_dim and not self._fp8:
            # The value half of kv_b folds into o_proj without making it larger; FP8 rounds between the two.
            output = fold(torch.unflatten(output, 1, (heads, -1)), value_up_HVR)
        else:
            self.value_up_HVR = value_up_HVR.clone()
        self.output = Linear(output, products)
        self._expand_from = _expand_from(config) if self.value_up_HVR is not None else math.inf
        self.indexer = Indexer(config, lambda name: tensor(f"indexer.{name}"), products)

    def __call__(self, x_TD: Tensor, step: Step | RowStep, cache: PagedCache) -> Tensor:
        """x_TD is normalised and in the model's type; returns (T, D) in the same type."""
        config = self._config
        query_TX, latent, rotary, index_key_TJ = torch.split(self.input(x_TD), self.input_widths, dim=-1)
        query_source_TX = x_TD
        if self.query_norm is not None:
            query_source_TX = self.query_norm(query_TX).to(x_TD.dtype)
            query_TX = self.query_b(query_source_TX)
        query_THX = torch.unflatten(query_TX, -1, (config.num_attention_heads, config.qk_head_dim))
        query_nope_THN, query_rotary_THP = torch.split(
            query_THX, [config.qk_nope_head_dim, config.qk_rope_head_dim], dim=-1
        )
        query_rotary_THP = rotate_neighbours(query_rotary_THP, step.rope)

        latent_TGR = torch.unflatten(latent, -1, (config.num_latent_groups, -1))
        if self.latent_norm is not None:
            latent_TGR = self.latent_norm(latent_TGR).to(x_TD.dtype)
        if self._fp8:  # in production the cache is FP8; prefill must read what decode will
            latent_TGR = round_groups(latent_TGR)
        rotary_TGP = rotate_neighbours(torch.unflatten(rotary, -1, (config.num_latent_groups, -1)), step.rope)
        index_keys_TJ = self.indexer.keys(index_key_TJ, step.rope)
        cache.write(self._layer, step.slots_T, torch.cat((latent_TGR, rotary_TGP), dim=-1), index_keys_TJ)
        query = Query(query_nope_THN, query_rotary_THP)
        if step.is_sparse:
            query.index_TIJ = self.indexer.queries(query_source_TX, step.rope)
            query.index_weights_TI = self.indexer.head_weights(x_TD)
        if isinstance(step, RowStep):
            return self.output(self._attend_rows(query, step, cache).flatten(1))
        return self.output(self._attend_spans(query, step, cache).flatten(1))

    def _attend_rows(self, query: Query, step: RowStep, cache: PagedCache) -> Tensor:
        query_SHX = self._absorb(query.nope_THN, query.rotary_THP)
        return self.value_up(step.attention.attend(self._layer, query_SHX, query, step.rows, cache, self._config))

    def _attend_spans(self, query: Query, step: Step, cache: PagedCache) -> Tensor:
        """(T, H, R) where the output is folded, else (T, H, V)."""
        attend = {"dense": self._attend_densely, "masked": self._attend_masked, "gathered": self._attend_gathered}
        outputs = [attend[chunk.kind](query, chunk, span, cache) for span in step.spans for chunk in span.chunks]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _attend_densely(self, query: Query, chunk: Chunk, span: Span, cache: PagedCache) -> Tensor:
        """Attention of one chunk of rows: (rows, H, R) where the output is folded, else (rows, H, V)."""
        return self._attend_all(query, chunk, span, cache, chunk.visible_TC, chunk.causal)

    def _attend_masked(self, query: Query, chunk: Chunk, span: Span, cache: PagedCache) -> Tensor:
        """Computes every pair and hides what was not chosen: the faster way until the past is much longer than k."""
        visible_TC = keep_topk(self._index_scores(query, chunk, span, cache), self._config.index_topk)
        return self._attend_all(query, chunk, span, cache, as_mask(visible_TC, query.rotary_THP.dtype), False)

    def _attend_all(
        self, query: Query, chunk: Chunk, span: Span, cache: PagedCache, visible_TC: Tensor | None, causal: bool
    ) -> Tensor:
        rows = slice(chunk.start, chunk.stop)
        nope_THN, rotary_THP = query.nope_THN[rows], query.rotary_THP[rows]
        latent_CGW = cache.read_latents(self._layer, span.blocks, chunk.length).to(rotary_THP.dtype)
        attend = self._expanded if len(nope_THN) >= self._expand_from else self._absorbed
        return attend(nope_THN, rotary_THP, latent_CGW, visible_TC, causal)

    def _attend_gathered(self, query: Query, chunk: Chunk, span: Span, cache: PagedCache) -> Tensor:
        """Reads and computes nothing but the chosen tokens, each row its own."""
        chosen_TK = select_topk(self._index_scores(query, chunk, span, cache), self._config.index_topk)
        config, width = self._config, self._config.kv_lora_rank + self._config.qk_rope_head_dim
        rows = slice(chunk.start, chunk.stop)
        query_THX = self._absorb(query.nope_THN[rows], query.rotary_THP[rows])
        query_TGHX = torch.unflatten(query_THX, 1, (config.num_latent_groups, -1))
        row_bytes = chosen_TK.shape[1] * config.num_latent_groups * width * query_THX.element_size()
        has_pads = bool((chosen_TK[:, 0] < 0).any())
        outputs = []
        for first, last in _steps(0, len(chosen_TK), GATHER_BYTES // row_bytes):
            slots_TK = _slots(chosen_TK[first:last], span, cache.block_size)
            latent = cache.read_latents_at(self._layer, slots_TK.flatten()).to(query_THX.dtype)
            latent_TGKW = torch.unflatten(latent, 0, slots_TK.shape).transpose(1, 2)
            out_TGHR = F.scaled_dot_product_attention(
                query_TGHX[first:last],
                latent_TGKW[..., width - query_THX.shape[-1] :],
                latent_TGKW[..., : config.kv_lora_rank],
                attn_mask=chosen_TK[first:last, None, None] >= 0 if has_pads else None,
                scale=config.softmax_scale,
            )
            outputs.append(out_TGHR.flatten(1, 2))
        return self.value_up(outputs[0] if len(outputs) == 1 else torch.cat(outputs))

    def _index_scores(self, query: Query, chunk: Chunk, span: Span, cache: PagedCache) -> Tensor:
        """fp32 (rows, length): -inf where a row does not see."""
        assert query.index_TIJ is not None and query.index_weights_TI is not None
        rows = slice(chunk.start, chunk.stop)
        keys_CJ = cache.read_index_keys(self._layer, span.blocks, chunk.length)
        return hide_future(score(query.index_TIJ[rows], query.index_weights_TI[rows], keys_CJ))

    def _absorb(self, query_nope_THN: Tensor, query_rotary_THP: Tensor) -> Tensor:
        """Queries over latent and rotary key, (T, H, R + P), or over the rotary key alone, (T, H, P)."""
        if self._config.qk_nope_head_dim == 0:
            return query_rotary_THP
        latent_THR = torch.einsum("thn,hnr->thr", query_nope_THN, self.key_up_HNR)
        return torch.cat((latent_THR, query_rotary_THP), dim=-1)

    def value_up(self, out_THR: Tensor) -> Tensor:
        return out_THR if self.value_up_HVR is None else torch.einsum("thr,hvr->thv", out_THR, self.value_up_HVR)

    def _absorbed(
        self,
        query_nope_THN: Tensor,
        query_rotary_THP: Tensor,
        cached_CGW: Tensor,
        visible_TC: Tensor | None,
        causal: bool,
    ) -> Tensor:
        query_THX = self._absorb(query_nope_THN, query_rotary_THP)
        cached_GCW = cached_CGW.transpose(0, 1)
        key_GCX, value_GCR = (
            cached_GCW[..., cached_GCW.shape[-1] - query_THX.shape[-1] :],
            cached_GCW[..., : self._config.kv_lora_rank],
        )
        return self.value_up(self._softmax_average(query_THX, key_GCX, value_GCR, visible_TC, causal))

    def _expanded(
        self,
        query_nope_THN: Tensor,
        query_rotary_THP: Tensor,
        cached_CGW: Tensor,
        visible_TC: Tensor | None,
        causal: bool,
    ) -> Tensor:
        config = self._config
        per_group = config.num_attention_heads // config.num_latent_groups
        latent_GCR = cached_CGW[..., : config.kv_lora_rank].transpose(0, 1)
        rotary_HCP = cached_CGW[..., config.kv_lora_rank :].transpose(0, 1).repeat_interleave(per_group, dim=0)
        latent_HCR = latent_GCR.repeat_interleave(per_group, dim=0)
        key_HCX = torch.cat((latent_HCR @ self.key_up_HNR.transpose(1, 2), rotary_HCP), dim=-1)
        assert self.value_up_HVR is not None
        value_HCV = latent_HCR @ self.value_up_HVR.transpose(1, 2)
        query_THX = torch.cat((query_nope_THN, query_rotary_THP), dim=-1)
        return self._softmax_average(query_THX, key_HCX, value_HCV, visible_TC, causal)

    def _softmax_average(
        self, query_THX: Tensor, key_GCX: Tensor, value_GCY: Tensor, visible_TC: Tensor | None, causal: bool
    ) -> Tensor:
        """Softmax in fp32 over the C keys of each head's group: (T, H, Y)."""
        if key_GCX.shape[-1] != value_GCY.shape[-1]:
            return self._softmax_average_folded(query_THX, key_GCX, value_GCY, visible_TC)
        if len(query_THX) == 1:  # a group's heads as rows: else the operator copies the keys for each head
            query_1GXX = query_THX.view(1, len(key_GCX), -1, query_THX.shape[-1])
            out_1GXY = F.scaled_dot_product_attention(
                query_1GXX, key_GCX[None], value_GCY[None], scale=self._config.softmax_scale
            )
            return out_1GXY.flatten(1, 2)
        out_1HTY = F.scaled_dot_product_attention(
            query_THX.transpose(0, 1)[None],
            key_GCX[None],
            value_GCY[None],
            attn_mask=None if causal else visible_TC,
            is_causal=causal,
            scale=self._config.softmax_scale,
            enable_gqa=len(key_GCX) != query_THX.shape[1],
        )
        return out_1HTY[0].transpose(0, 1)

    def _softmax_average_folded(
        self, query_THX: Tensor, key_GCX: Tensor, value_GCY: Tensor, visible_TC: Tensor | None
    ) -> Tensor:
        """The same with a group's heads as rows: no fused kernel takes unequal widths, and the general one would copy
        the latents once for each head (1.2 GB a layer at 8192 tokens and 128 heads)."""
        num_rows, groups = len(query_THX), len(key_GCX)
        query_GXX = torch.unflatten(query_THX, 1, (groups, -1)).permute(1, 2, 0, 3).flatten(1, 2)
        out_1GXY = F.scaled_dot_product_attention(
            query_GXX[None],
            key_GCX[None],
            value_GCY[None],
            attn_mask=None if visible_TC is None else visible_TC.repeat(query_GXX.shape[1] // num_rows, 1),
            scale=self._config.softmax_scale,
        )
        return torch.unflatten(out_1GXY[0], 1, (-1, num_rows)).permute(2, 0, 1, 3).flatten(1, 2)


def _slots(positions_TK: Tensor, span: Span, block_size: int) -> Tensor:
    """Where positions of one sequence lie in the cache; a pad counts as the first."""
    positions_TK = positions_TK.clamp_min(0)
    if isinstance(span.blocks, slice):
        return positions_TK + int(span.blocks.start) * block_size
    return span.block_ids_B[positions_TK // block_size] * block_size + positions_TK % block_size


def fold(output_DHV: Tensor, value_up_HVR: Tensor) -> Tensor:
    """o_proj over latents, (D, H*R), multiplied in fp32 and rounded once."""
    folded_DHR = torch.einsum("dhv,hvr->dhr", output_DHV.float(), value_up_HVR.float())
    return folded_DHR.flatten(1).to(output_DHV.dtype)


def _gather_from(config: ModelConfig) -> int:
    """The context length above which gathering the chosen tokens is cheaper than hiding the others."""
    if _expand_from(config) < math.inf and config.kv_lora_rank > config.v_head_dim:
        fused = config.qk_head_dim == config.v_head_dim
    else:
        fused = config.qk_nope_head_dim == 0 and config.qk_rope_head_dim == config.kv_lora_rank
    return (GATHER_FACTOR_FUSED if fused else GATHER_FACTOR) * config.index_topk


def _expand_from(config: ModelConfig) -> float:
    """Rows of a chunk from which spelling keys and values out takes fewer operations: once for each key, then less for
    each pair.

    171 at the released sizes. 16 heads of these, 2048 tokens, bfloat16, one AVX-512 core, absorbed / expanded in ms:
    26 / 209 for 2 rows, 140 / 237 for 64, 592 / 443 for 256.
    """
    absorbed = (config.kv_lora_rank if config.qk_nope_head_dim else 0) + config.qk_rope_head_dim + config.kv_lora_rank
    saved = absorbed - config.qk_head_dim - config.v_head_dim
    return config.kv_lora_rank * (config.qk_nope_head_dim + config.v_head_dim) / saved if saved > 0 else math.inf
