"""Multi-head latent attention with latent groups, over the paged cache.

Keys and values exist only as one latent (R wide) and one rotary key (P wide) per group and token; the absorbed form
folds the key half of kv_b into the query and the value half into the output, the expanded form spells keys and values
out. Both are exact; the cheaper one is taken by operation count.
Legend: T tokens of the step or of one chunk of rows, C cached tokens of one sequence, D hidden, H heads, G groups,
R latent rank, P rotary width, N width without position, V value width, J indexer key width, W = R + P.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.batch import Batch
from inference.cache import Blocks, PagedCache, as_blocks
from inference.config import ModelConfig
from inference.model.indexer import Indexer, score, select_topk
from inference.model.linear import Linear
from inference.model.norm import RMSNorm
from inference.model.rope import rotate_neighbours
from inference.quantization import round_groups

# Scores of one chunk of rows, fp32. 64 MiB keeps 227 rows together at 8192 tokens and 9 heads, enough for full matrix
# speed; without a bound one 8192-row chunk at 128K tokens and 64 index heads would ask for 256 GiB.
SCORE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows [start, stop) of the step, all of one sequence, which see at most its first `length` tokens."""

    start: int
    stop: int
    length: int
    visible_TC: Tensor | None  # bool, None where every row sees all `length` tokens
    causal: bool  # the rows are the whole sequence so far, so a kernel's own causal mask is right


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


def plan_step(config: ModelConfig, batch: Batch, rope: Tensor, block_size: int) -> Step:
    device = batch.token_ids_T.device
    starts, lengths = batch.query_start_S1.tolist(), batch.context_lens_S.tolist()
    spans = []
    for s, length in enumerate(lengths):
        block_ids_B = batch.block_tables_SB[s, : -(-length // block_size)].to(torch.int64)
        chunks = list(_cut(config, starts[s], starts[s + 1], length, device))
        spans.append(Span(starts[s], starts[s + 1], length, block_ids_B, as_blocks(block_ids_B), chunks))
    return Step(rope, batch.slot_mapping_T, spans, any(length > config.index_topk for length in lengths))


def _cut(config: ModelConfig, start: int, stop: int, context_len: int, device: torch.device) -> Iterator[Chunk]:
    row_bytes = 4 * context_len * max(config.num_attention_heads, config.index_n_heads)
    step = max(1, SCORE_BYTES // row_bytes)
    first_position = context_len - (stop - start)
    for row in range(start, stop, step):
        end = min(row + step, stop)
        length = first_position + (end - start)
        num_rows = end - row
        if num_rows == 1:
            yield Chunk(row, end, length, None, False)
            continue
        positions_C = torch.arange(length, device=device)
        yield Chunk(row, end, length, positions_C <= positions_C[-num_rows:, None], num_rows == length)


class Attention:
    def __init__(self, config: ModelConfig, layer: int, tensor: Callable[[str], Tensor], fp8: bool = False) -> None:
        self._fp8 = fp8
        self._config = config
        self._layer = layer
        heads, groups = config.num_attention_heads, config.num_latent_groups
        nope, rank = config.qk_nope_head_dim, config.kv_lora_rank
        query = tensor("q_proj.weight" if config.q_lora_rank is None else "q_a_proj.weight")
        key = tensor("kv_a_proj_with_mqa.weight")
        index_key = tensor("indexer.wk.weight")
        # Everything that reads x in one product: one [1,576]x[576,1024] instead of three, 120 -> 50 us.
        self._input = Linear(torch.cat((query, key, index_key)), fp8)
        self._input_widths = [len(query), groups * rank, groups * config.qk_rope_head_dim, len(index_key)]
        self._query_norm: RMSNorm | None = None
        if config.q_lora_rank is not None:
            self._query_norm = RMSNorm(tensor("q_a_layernorm.weight"), config.rms_norm_eps)
            self._query_b = Linear(tensor("q_b_proj.weight"), fp8)
        self._latent_norm: RMSNorm | None = None
        if config.kv_latent_norm:
            self._latent_norm = RMSNorm(tensor("kv_a_layernorm.weight"), config.rms_norm_eps)
        kv_b_HXR = torch.unflatten(tensor("kv_b_proj.weight"), 0, (heads, -1))
        value_up_HVR = kv_b_HXR[:, nope:]
        self._key_up_HNR = kv_b_HXR[:, :nope].clone()
        self._value_up_HVR: Tensor | None = None
        output = tensor("o_proj.weight")
        if rank <= config.v_head_dim and not fp8:
            # The value half of kv_b folds into o_proj without making it larger; FP8 rounds between the two.
            output = _fold(torch.unflatten(output, 1, (heads, -1)), value_up_HVR)
        else:
            self._value_up_HVR = value_up_HVR.clone()
        self._output = Linear(output, fp8)
        self._expands = self._value_up_HVR is not None and _expanding_pays(config)
        self._indexer = Indexer(config, lambda name: tensor(f"indexer.{name}"), fp8)

    def __call__(self, x_TD: Tensor, step: Step, cache: PagedCache) -> Tensor:
        """x_TD is normalised and in the model's type; returns (T, D) in the same type."""
        config = self._config
        query_TX, latent, rotary, index_key_TJ = torch.split(self._input(x_TD), self._input_widths, dim=-1)
        query_source_TX = x_TD
        if self._query_norm is not None:
            query_source_TX = self._query_norm(query_TX).to(x_TD.dtype)
            query_TX = self._query_b(query_source_TX)
        query_THX = torch.unflatten(query_TX, -1, (config.num_attention_heads, config.qk_head_dim))
        query_nope_THN, query_rotary_THP = torch.split(
            query_THX, [config.qk_nope_head_dim, config.qk_rope_head_dim], dim=-1
        )
        query_rotary_THP = rotate_neighbours(query_rotary_THP, step.rope)

        latent_TGR = torch.unflatten(latent, -1, (config.num_latent_groups, -1))
        if self._latent_norm is not None:
            latent_TGR = self._latent_norm(latent_TGR).to(x_TD.dtype)
        if self._fp8:  # in production the cache is FP8; prefill must read what decode will
            latent_TGR = round_groups(latent_TGR)
        rotary_TGP = rotate_neighbours(torch.unflatten(rotary, -1, (config.num_latent_groups, -1)), step.rope)
        index_keys_TJ = self._indexer.keys(index_key_TJ, step.rope)
        cache.write(self._layer, step.slots_T, torch.cat((latent_TGR, rotary_TGP), dim=-1), index_keys_TJ)
        query = Query(query_nope_THN, query_rotary_THP)
        if step.is_sparse:
            query.index_TIJ = self._indexer.queries(query_source_TX, step.rope)
            query.index_weights_TI = self._indexer.head_weights(x_TD)
        outputs = [self._attend(query, chunk, span, cache) for span in step.spans for chunk in span.chunks]
        return self._output((outputs[0] if len(outputs) == 1 else torch.cat(outputs)).flatten(1))

    def _attend(self, query: Query, chunk: Chunk, span: Span, cache: PagedCache) -> Tensor:
        """Attention of one chunk of rows: (rows, H, R) where the output is folded, else (rows, H, V)."""
        rows, num_rows = slice(chunk.start, chunk.stop), chunk.stop - chunk.start
        visible_TC, causal = chunk.visible_TC, chunk.causal
        if chunk.length > self._config.index_topk:
            visible_TC, causal = self._select(query, chunk, span, cache), False
        if visible_TC is not None and num_rows == 1:
            latent_CGW = cache.read_latents_at(self._layer, _slots(visible_TC[0], span.block_ids_B, cache.block_size))
            visible_TC = None
        else:
            latent_CGW = cache.read_latents(self._layer, span.blocks, chunk.length)
        attend = self._expanded if self._expands and num_rows > 1 else self._absorbed
        nope_THN, rotary_THP = query.nope_THN[rows], query.rotary_THP[rows]
        return attend(nope_THN, rotary_THP, latent_CGW.to(rotary_THP.dtype), visible_TC, causal)

    def _select(self, query: Query, chunk: Chunk, span: Span, cache: PagedCache) -> Tensor:
        """bool (rows, C): the positions the indexer keeps for each row."""
        assert query.index_TIJ is not None and query.index_weights_TI is not None
        rows = slice(chunk.start, chunk.stop)
        keys_CJ = cache.read_index_keys(self._layer, span.blocks, chunk.length)
        scores_TC = score(query.index_TIJ[rows], query.index_weights_TI[rows], keys_CJ)
        visible_TC = torch.ones_like(scores_TC, dtype=torch.bool) if chunk.visible_TC is None else chunk.visible_TC
        return select_topk(scores_TC, visible_TC, self._config.index_topk)

    def _absorbed(
        self,
        query_nope_THN: Tensor,
        query_rotary_THP: Tensor,
        cached_CGW: Tensor,
        visible_TC: Tensor | None,
        causal: bool,
    ) -> Tensor:
        config = self._config
        key_GCX = cached_CGW.transpose(0, 1)
        if config.qk_nope_head_dim == 0:
            query_THX = query_rotary_THP
            key_GCX = key_GCX[..., config.kv_lora_rank :]
        else:
            latent_THR = torch.einsum("thn,hnr->thr", query_nope_THN, self._key_up_HNR)
            query_THX = torch.cat((latent_THR, query_rotary_THP), dim=-1)
        value_GCR = cached_CGW.transpose(0, 1)[..., : config.kv_lora_rank]
        out_THR = self._softmax_average(query_THX, key_GCX, value_GCR, visible_TC, causal)
        if self._value_up_HVR is None:
            return out_THR
        return torch.einsum("thr,hvr->thv", out_THR, self._value_up_HVR)

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
        key_HCX = torch.cat((latent_HCR @ self._key_up_HNR.transpose(1, 2), rotary_HCP), dim=-1)
        assert self._value_up_HVR is not None
        value_HCV = latent_HCR @ self._value_up_HVR.transpose(1, 2)
        query_THX = torch.cat((query_nope_THN, query_rotary_THP), dim=-1)
        return self._softmax_average(query_THX, key_HCX, value_HCV, visible_TC, causal)

    def _softmax_average(
        self, query_THX: Tensor, key_GCX: Tensor, value_GCY: Tensor, visible_TC: Tensor | None, causal: bool
    ) -> Tensor:
        """Softmax in fp32 over the C keys of each head's group: (T, H, Y)."""
        if key_GCX.shape[-1] != value_GCY.shape[-1]:
            return self._softmax_average_folded(query_THX, key_GCX, value_GCY, visible_TC)
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


def _slots(chosen_C: Tensor, block_ids_B: Tensor, block_size: int) -> Tensor:
    """Where the chosen positions of one sequence lie in the cache."""
    positions_K = chosen_C.nonzero()[:, 0]
    return block_ids_B[positions_K // block_size] * block_size + positions_K % block_size


def _fold(output_DHV: Tensor, value_up_HVR: Tensor) -> Tensor:
    """o_proj over latents, (D, H*R), multiplied in fp32 and rounded once."""
    folded_DHR = torch.einsum("dhv,hvr->dhr", output_DHV.float(), value_up_HVR.float())
    return folded_DHR.flatten(1).to(output_DHV.dtype)


def _expanding_pays(config: ModelConfig) -> bool:
    """Whether spelling keys and values out takes fewer operations for each (query, key) pair of a prefill."""
    absorbed = (config.kv_lora_rank if config.qk_nope_head_dim else 0) + config.qk_rope_head_dim + config.kv_lora_rank
    return config.qk_head_dim + config.v_head_dim < absorbed
