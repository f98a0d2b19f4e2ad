"""Index scores in FP8, keys in the pages of the cache: for decode, where a row has its own context.

The same sum as index_scores.py. It is bound by the keys' 132 bytes each: every program reads a run of pages of one
sequence, and the next ones are on their way while it computes.
Legend: S sequences, T rows (S times the rows of each), I heads, J width, N pages, Y bytes of a page, B pages of the
longest sequence, C = 64 * B columns.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.index_scores import FP8, check_queries, plain_index_scores, weighted_relu
from inference.kernels.launch import Config

PAGE = 64  # tokens
CONFIGS = tuple(
    Config({"PAGES": pages}, num_warps, num_stages)
    for pages, num_warps, num_stages in (
        (32, 4, 4),
        (16, 4, 4),
        (64, 4, 4),
        (32, 4, 3),
        (32, 4, 5),
        (32, 4, 6),
        (128, 4, 4),
        (8, 4, 4),
    )
)


def paged_index_scores(
    queries_TIJ: Tensor,
    weights_TI: Tensor,
    pages_NY: Tensor,
    block_tables_SB: Tensor,
    lengths_T: Tensor,
    *,
    out_TC: Tensor | None = None,
    config: Config = CONFIGS[0],
) -> Tensor:
    """fp32 (T, C). Of row t the first lengths[t] columns are promised: others hold -inf or what they held.

    T / S rows follow one another for each sequence: 1, or more where tokens were drafted. A row of length 0 is left
    as it was. A page is (uint8) 64 keys in e4m3, then their 64 scales in fp32.
    """
    (num_rows, num_heads, width), (num_sequences, num_blocks) = queries_TIJ.shape, block_tables_SB.shape
    check_queries(queries_TIJ, weights_TI)
    if num_sequences == 0 or num_rows % num_sequences or (rows := num_rows // num_sequences) not in (1, 2, 4):
        raise ValueError(f"rows = {num_rows} of {num_sequences} sequences: 1, 2 or 4 each expected")
    if pages_NY.dtype != torch.uint8 or pages_NY.shape[1:] != (PAGE * (width + 4),) or not pages_NY.is_contiguous():
        raise ValueError(
            f"pages: {pages_NY.dtype} {tuple(pages_NY.shape)}, uint8 of {PAGE * (width + 4)} bytes expected"
        )
    if block_tables_SB.dtype != torch.int32 or not block_tables_SB.is_contiguous():
        raise ValueError(f"block_tables: {block_tables_SB.dtype}, contiguous int32 expected")
    if lengths_T.dtype != torch.int32 or lengths_T.shape != (num_rows,):
        raise ValueError(f"lengths: {lengths_T.dtype} {tuple(lengths_T.shape)}, int32 ({num_rows},) expected")
    if out_TC is None:
        out_TC = torch.empty(num_rows, num_blocks * PAGE, dtype=torch.float32, device=queries_TIJ.device)
    if len(out_TC) != num_rows or out_TC.shape[1] < num_blocks * PAGE or out_TC.stride(1) != 1:
        raise ValueError(f"out: shape {tuple(out_TC.shape)}, at least {(num_rows, num_blocks * PAGE)} expected")
    if num_blocks:
        _score_pages[(num_sequences, triton.cdiv(num_blocks, config.blocks["PAGES"]))](
            queries_TIJ,
            weights_TI,
            pages_NY.view(FP8),
            pages_NY.view(torch.float32),
            block_tables_SB,
            lengths_T,
            out_TC,
            num_blocks,
            out_TC.stride(0),
            HEADS=num_heads,
            WIDTH=width,
            ROWS=rows,
            PAGE=PAGE,
            **config.options,
        )
    return out_TC


def plain_paged_index_scores(
    queries_TIJ: Tensor, weights_TI: Tensor, pages_NY: Tensor, block_tables_SB: Tensor, lengths_T: Tensor
) -> Tensor:
    """fp32 (T, C), -inf beyond a row's length."""
    rows, border = len(queries_TIJ) // len(block_tables_SB), PAGE * queries_TIJ.shape[2]
    scores = []
    for t, length in enumerate(lengths_T.tolist()):
        pages = pages_NY[block_tables_SB[t // rows].clamp_min(0).long()]
        keys_CJ = pages[:, :border].contiguous().view(FP8).view(-1, queries_TIJ.shape[2])
        scales_C = pages[:, border:].contiguous().view(torch.float32).flatten()
        bounds = torch.tensor([[0], [length]], dtype=torch.int32, device=pages_NY.device)
        row = slice(t, t + 1)
        scores.append(plain_index_scores(queries_TIJ[row], weights_TI[row], keys_CJ, scales_C, bounds[0], bounds[1]))
    return torch.cat(scores)


@triton.jit
def _score_pages(
    queries: tl.tensor,
    weights: tl.tensor,
    keys: tl.tensor,
    key_scales: tl.tensor,
    block_tables: tl.tensor,
    lengths: tl.tensor,
    out: tl.tensor,
    num_blocks: tl.tensor,
    out_stride: tl.tensor,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    PAGE: tl.constexpr,
    PAGES: tl.constexpr,
) -> None:
    first = tl.program_id(0).to(tl.int64) * ROWS
    row = first + tl.arange(0, ROWS)
    length = tl.load(lengths + row)
    low = tl.program_id(1) * PAGES
    high = tl.minimum(tl.minimum(tl.cdiv(tl.max(length), PAGE), num_blocks), low + PAGES)
    if low >= high:
        return

    token = tl.arange(0, PAGE)
    head = tl.arange(0, ROWS * HEADS)
    at_key = token[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :]
    query = tl.load(queries + first * HEADS * WIDTH + head[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :])
    weight = tl.load(weights + first * HEADS + head)
    block_tables += tl.program_id(0).to(tl.int64) * num_blocks
    key_scales += PAGE * WIDTH // 4 + token
    for block in range(low, high):
        page = tl.load(block_tables + block).to(tl.int64)
        key = tl.load(keys + page * (PAGE * (WIDTH + 4)) + at_key)
        scale = tl.load(key_scales + page * (PAGE * (WIDTH + 4) // 4))
        score = weighted_relu(tl.dot(key, tl.trans(query)), weight, HEADS, ROWS) * scale[:, None]
        at = block * PAGE + token[:, None]
        score = tl.where(at < length[None, :], score, float("-inf"))
        mask = length[None, :] > 0
        tl.store(out + row[None, :] * out_stride + at, score, mask=mask, cache_modifier=".cs")
