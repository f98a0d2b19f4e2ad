"""Attention of single rows over the pages of the cache, in plain PyTorch and static shapes.

Every row computes all pairs of the widest context its step has room for and hides what it does not see: what a card
does until a kernel takes its place, and what such a kernel must equal.
Legend: S rows, C cached tokens there is room for, H heads, h heads of a group, G groups, R latent rank, X width of a
query, W latent + rotary width, I index heads, J index head width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.batch import Rows
from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.model.attention import Query


class PlainPages:
    def attend(
        self, layer: int, query_SHX: Tensor, query: Query, rows: Rows, cache: PagedCache, config: ModelConfig
    ) -> Tensor:
        """See inference.model.attention.PagedAttention."""
        num_rows, num_blocks = rows.block_tables_SB.shape
        blocks = rows.block_tables_SB.flatten().clamp_min(0)
        length = num_rows * num_blocks * cache.block_size
        seen_SC = seen(rows, cache.block_size)
        if rows.is_sparse:
            assert query.index_TIJ is not None and query.index_weights_TI is not None
            keys_SCJ = torch.unflatten(cache.read_index_keys(layer, blocks, length), 0, (num_rows, -1))
            scores_SC = plain_scores(query.index_TIJ, query.index_weights_TI, keys_SCJ)
            seen_SC = keep_best(scores_SC.masked_fill(~seen_SC, -torch.inf), config.index_topk)
        latent = torch.unflatten(cache.read_latents(layer, blocks, length), 0, (num_rows, -1)).to(query_SHX.dtype)
        latent_SGCW = latent.masked_fill(~seen_SC[:, :, None, None], 0).transpose(1, 2)  # unwritten memory may be NaN
        out_SGhR = F.scaled_dot_product_attention(
            torch.unflatten(query_SHX, 1, (config.num_latent_groups, -1)),
            latent_SGCW[..., latent_SGCW.shape[-1] - query_SHX.shape[-1] :],
            latent_SGCW[..., : config.kv_lora_rank],
            attn_mask=seen_SC[:, None, None],
            scale=config.softmax_scale,
        )
        return out_SGhR.flatten(1, 2)


def seen(rows: Rows, block_size: int) -> Tensor:
    """bool (S, C): the tokens of each row's own past."""
    columns_C = torch.arange(rows.block_tables_SB.shape[1] * block_size, device=rows.context_lens_S.device)
    return columns_C < rows.context_lens_S[:, None]


def plain_scores(queries_SIJ: Tensor, weights_SI: Tensor, keys_SCJ: Tensor) -> Tensor:
    """fp32 (S, C)."""
    dots_SIC = torch.bmm(queries_SIJ.float(), keys_SCJ.float().transpose(1, 2)).relu_()
    return torch.bmm(weights_SI[:, None], dots_SIC)[:, 0]


def keep_best(scores_SC: Tensor, k: int) -> Tensor:
    """bool (S, C): as inference.model.indexer.keep_topk, without looking at what comes out."""
    k = min(k, scores_SC.shape[1])
    scores_SC = scores_SC.masked_fill(scores_SC.isnan(), -torch.inf)
    threshold_S1 = scores_SC.topk(k, dim=-1).values[:, -1:]
    above_SC, tied_SC = scores_SC > threshold_S1, scores_SC == threshold_S1
    room_S1 = k - above_SC.sum(dim=-1, keepdim=True)
    return above_SC | (tied_SC & (tied_SC.cumsum(dim=-1) <= room_S1) & (scores_SC > -torch.inf))
