"""Attention of single rows by kernels, over pages in the model's type or in FP8: attention.py says the same plainly.

Legend: S rows, H heads, G groups, R latent rank, P rotary width, X width of a query, I index heads, J index head width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from inference.batch import Rows
from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.gpu.attention import plain_scores
from inference.kernels.dense_attention import attend_pages
from inference.kernels.index_pages import score_pages
from inference.kernels.sparse_attention import attend_chosen
from inference.kernels.topk import topk
from inference.model.attention import Query

SCORE_BYTES = 2**30  # of index scores at once; a prompt of 4096 rows at 128K would ask for twice as much


def pages_obstacle(config: ModelConfig, block_size: int) -> str | None:
    """What of the configuration these kernels cannot read."""
    for name in ("kv_lora_rank", "qk_rope_head_dim"):
        size = getattr(config, name)
        if size < 16 or size & (size - 1):
            return f"{name} = {size}: a power of two, 16 at least, is needed"
    if block_size < 16 or block_size & (block_size - 1):
        return f"blocks of {block_size} tokens: a power of two, 16 at least, is needed"
    return None


class KernelPages:
    def __init__(self, max_rows: int, device: torch.device) -> None:
        self._sequence_S = torch.arange(max_rows, dtype=torch.int32, device=device)
        self._starts_S = torch.zeros(max_rows, dtype=torch.int32, device=device)

    def attend(
        self, layer: int, query_SHX: Tensor, query: Query, rows: Rows, cache: PagedCache, config: ModelConfig
    ) -> Tensor:
        """See inference.model.attention.PagedAttention."""
        num_rows, num_blocks = rows.block_tables_SB.shape
        query_SHX, pages, sequence_S = query_SHX.contiguous(), cache.latent_pages(layer), self._sequence_S[:num_rows]
        if rows.is_sparse:
            chosen_SK = self._choose(layer, query, rows, cache, config.index_topk)
            out_SHR, _ = attend_chosen(
                query_SHX,
                pages,
                chosen_SK,
                rows.block_tables_SB,
                sequence_S,
                rank=config.kv_lora_rank,
                softmax_scale=config.softmax_scale,
                block_size=cache.block_size,
            )
            return out_SHR
        out_SHR, _ = attend_pages(
            query_SHX,
            pages,
            rows.context_lens_S,
            rows.block_tables_SB,
            sequence_S,
            rank=config.kv_lora_rank,
            softmax_scale=config.softmax_scale,
            max_visible=min(num_blocks * cache.block_size, config.index_topk),
            block_size=cache.block_size,
        )
        return out_SHR

    def _choose(self, layer: int, query: Query, rows: Rows, cache: PagedCache, k: int) -> Tensor:
        """int32 (S, K); of many rows only so many at once that their scores have room."""
        assert query.index_TIJ is not None and query.index_weights_TI is not None
        num_rows, num_blocks = rows.block_tables_SB.shape
        size = max(1, SCORE_BYTES // (4 * num_blocks * cache.block_size))
        chosen_SK = rows.context_lens_S.new_empty(num_rows, k)
        for start in range(0, num_rows, size):
            part = slice(start, start + size)
            few = replace(rows, context_lens_S=rows.context_lens_S[part], block_tables_SB=rows.block_tables_SB[part])
            asked = Query(query.nope_THN, query.rotary_THP, query.index_TIJ[part], query.index_weights_TI[part])
            starts_S = self._starts_S[: len(few.context_lens_S)]
            scores_SC = self._scores(layer, asked, few, cache)
            topk(scores_SC, starts_S, few.context_lens_S, k, out_TK=chosen_SK[part])
        return chosen_SK

    def _scores(self, layer: int, query: Query, rows: Rows, cache: PagedCache) -> Tensor:
        """fp32 (S, C); columns that a row does not see hold anything."""
        assert query.index_TIJ is not None and query.index_weights_TI is not None
        pages = cache.index_pages(layer)
        width = query.index_TIJ.shape[-1]
        if pages is not None and width >= 16 and not width & (width - 1):
            queries_SIJ = query.index_TIJ.to(pages.dtype).contiguous()
            return score_pages(
                queries_SIJ,
                query.index_weights_TI,
                pages,
                rows.block_tables_SB,
                rows.context_lens_S,
                block_size=cache.block_size,
            )
        num_rows, num_blocks = rows.block_tables_SB.shape
        blocks = rows.block_tables_SB.flatten().clamp_min(0)
        keys = cache.read_index_keys(layer, blocks, num_rows * num_blocks * cache.block_size)
        return plain_scores(query.index_TIJ, query.index_weights_TI, torch.unflatten(keys, 0, (num_rows, -1)))
