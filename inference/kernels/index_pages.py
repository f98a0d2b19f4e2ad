"""The indexer over a cache that holds its keys in the model's type: keys normed, turned and written; scores of decode.

Says again what inference/model/indexer.py says in exact arithmetic, and cache.py; see index_cache.py and
paged_index_scores.py for FP8.
Legend: T tokens, S rows, I index heads, J index head width, P rotary width (its first columns), C columns: 64 for each
block of the longest table there is room for, B such blocks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.launch import Config

KEY_CONFIGS = tuple(Config({}, num_warps=warps, num_stages=1) for warps in (1, 2, 4))
SCORE_CONFIGS = tuple(
    Config({"PAGES": pages}, num_warps=warps, num_stages=stages)
    for pages, warps, stages in ((4, 4, 3), (8, 4, 3), (2, 4, 2), (16, 4, 4), (1, 4, 1))
)


def write_index_pages(
    key_TJ: Tensor,
    norm_weight_J: Tensor,
    norm_bias_J: Tensor,
    positions_T: Tensor,
    slots_T: Tensor,
    turns_C2P: Tensor,
    pages: Tensor,
    *,
    eps: float = 1e-6,
    config: Config = KEY_CONFIGS[0],
) -> None:
    """To pages (slots, J); slot -1 is no token. Turns are cosines and sines of positions, (C, 2, P/2)."""
    num_tokens, width = key_TJ.shape
    if key_TJ.stride(1) != 1 or pages.shape[1:] != (width,) or not pages.is_contiguous():
        raise ValueError(f"keys {tuple(key_TJ.shape)}, pages {tuple(pages.shape)}: contiguous rows of {width} expected")
    half = turns_C2P.shape[2]
    if half & (half - 1) or 2 * half > width or not turns_C2P.is_contiguous():
        raise ValueError(f"rotary width = {2 * half}: a power of two, {width} at most, expected")
    if num_tokens:
        _write[(num_tokens,)](
            key_TJ,
            norm_weight_J,
            norm_bias_J,
            positions_T,
            slots_T,
            turns_C2P,
            pages,
            eps,
            key_TJ.stride(0),
            WIDTH=width,
            BLOCK_J=triton.next_power_of_2(width),
            HALF=half,
            **config.options,
        )


def plain_index_keys(
    key_TJ: Tensor, norm_weight_J: Tensor, norm_bias_J: Tensor, positions_T: Tensor, turns_C2P: Tensor, eps: float
) -> Tensor:
    """fp32 (T, J)."""
    normed = F.layer_norm(key_TJ.float(), key_TJ.shape[1:], norm_weight_J.float(), norm_bias_J.float(), eps)
    half = turns_C2P.shape[2]
    cos, sin = turns_C2P[positions_T.long()].unbind(1)
    first, second, rest = torch.split(normed, [half, half, normed.shape[1] - 2 * half], dim=1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos, rest), dim=1)


def score_pages(
    queries_SIJ: Tensor,
    weights_SI: Tensor,
    pages: Tensor,
    block_tables_SB: Tensor,
    lengths_S: Tensor,
    *,
    block_size: int = 64,
    out_SC: Tensor | None = None,
    config: Config = SCORE_CONFIGS[0],
) -> Tensor:
    """fp32 (S, C) from queries of the pages' type. Of row s the first lengths[s] columns are promised."""
    (num_rows, num_heads, width), num_blocks = queries_SIJ.shape, block_tables_SB.shape[1]
    if queries_SIJ.dtype != pages.dtype or not queries_SIJ.is_contiguous():
        raise ValueError(f"queries {queries_SIJ.dtype}: contiguous {pages.dtype} expected")
    if width & (width - 1) or width < 16 or block_size & (block_size - 1) or block_size < 16:
        raise ValueError(f"width {width}, block_size {block_size}: powers of two, 16 at least, expected")
    if weights_SI.shape != (num_rows, num_heads) or not weights_SI.is_contiguous() or weights_SI.dtype != torch.float32:
        raise ValueError(f"weights {weights_SI.dtype} {tuple(weights_SI.shape)}: fp32 {(num_rows, num_heads)} expected")
    if out_SC is None:
        out_SC = torch.empty(num_rows, num_blocks * block_size, dtype=torch.float32, device=pages.device)
    if num_rows:
        _score[(num_rows, triton.cdiv(num_blocks, config.blocks["PAGES"]))](
            queries_SIJ,
            weights_SI,
            pages,
            block_tables_SB,
            lengths_S,
            out_SC,
            block_tables_SB.stride(0),
            out_SC.stride(0),
            HEADS=num_heads,
            BLOCK_I=max(16, triton.next_power_of_2(num_heads)),
            WIDTH=width,
            PAGE=block_size,
            **config.options,
        )
    return out_SC


def plain_score_pages(
    queries_SIJ: Tensor, weights_SI: Tensor, pages: Tensor, block_tables_SB: Tensor, block_size: int = 64
) -> Tensor:
    """fp32 (S, C)."""
    columns = torch.arange(block_tables_SB.shape[1] * block_size, device=pages.device)
    slots_SC = block_tables_SB.clamp_min(0)[:, columns // block_size].long() * block_size + columns % block_size
    dots_SIC = torch.einsum("sij,scj->sic", queries_SIJ.float(), pages[slots_SC].float()).relu_()
    return torch.einsum("si,sic->sc", weights_SI, dots_SIC)


@triton.jit
def _write(
    key_TJ: tl.tensor,
    norm_weight: tl.tensor,
    norm_bias: tl.tensor,
    positions: tl.tensor,
    slots: tl.tensor,
    turns: tl.tensor,
    pages: tl.tensor,
    eps: tl.tensor,
    key_stride: tl.tensor,
    WIDTH: tl.constexpr,
    BLOCK_J: tl.constexpr,
    HALF: tl.constexpr,
) -> None:
    token = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + token).to(tl.int64)
    if slot >= 0:
        key = key_TJ + token * key_stride
        column = tl.arange(0, BLOCK_J)
        is_column = column < WIDTH
        x = tl.load(key + column, mask=is_column, other=0.0).to(tl.float32)
        mean = tl.sum(x, 0) / WIDTH
        centred = tl.where(is_column, x - mean, 0.0)
        inverse = 1 / tl.sqrt(tl.sum(centred * centred, 0) / WIDTH + eps)
        weight = tl.load(norm_weight + column, mask=is_column, other=0.0).to(tl.float32)
        bias = tl.load(norm_bias + column, mask=is_column, other=0.0).to(tl.float32)
        page = pages + slot * WIDTH
        kept = (centred * inverse * weight + bias).to(pages.dtype.element_ty)
        tl.store(page + column, kept, mask=is_column & (column >= 2 * HALF))
        low = tl.arange(0, HALF)
        turn = turns + tl.load(positions + token).to(tl.int64) * (2 * HALF) + low
        cos, sin = tl.load(turn), tl.load(turn + HALF)
        first = tl.load(key + low).to(tl.float32) - mean
        first = first * inverse * tl.load(norm_weight + low).to(tl.float32) + tl.load(norm_bias + low).to(tl.float32)
        high = low + HALF
        second = tl.load(key + high).to(tl.float32) - mean
        second = second * inverse * tl.load(norm_weight + high).to(tl.float32) + tl.load(norm_bias + high).to(
            tl.float32
        )
        tl.store(page + low, (first * cos - second * sin).to(pages.dtype.element_ty))
        tl.store(page + high, (first * sin + second * cos).to(pages.dtype.element_ty))


@triton.jit
def _score(
    queries: tl.tensor,
    weights: tl.tensor,
    pages: tl.tensor,
    tables: tl.tensor,
    lengths: tl.tensor,
    out: tl.tensor,
    table_stride: tl.tensor,
    out_stride: tl.tensor,
    HEADS: tl.constexpr,
    BLOCK_I: tl.constexpr,
    WIDTH: tl.constexpr,
    PAGE: tl.constexpr,
    PAGES: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    num_pages = tl.cdiv(tl.load(lengths + row), PAGE)
    first = tl.program_id(1) * PAGES
    stop = tl.minimum(first + PAGES, num_pages)
    head, column, token = tl.arange(0, BLOCK_I), tl.arange(0, WIDTH), tl.arange(0, PAGE)
    query = tl.load(
        queries + (row * HEADS + head)[None, :] * WIDTH + column[:, None], mask=(head < HEADS)[None, :], other=0.0
    )
    weight = tl.load(weights + row * HEADS + head, mask=head < HEADS, other=0.0)
    for page in tl.range(first, stop):
        block = tl.load(tables + row * table_stride + page).to(tl.int64)
        keys = tl.load(pages + (block * PAGE + token)[:, None] * WIDTH + column[None, :])
        dots = tl.dot(keys, query)
        score = tl.sum(tl.maximum(dots, 0.0) * weight[None, :], 1)
        tl.store(out + row * out_stride + page * PAGE + token, score)
