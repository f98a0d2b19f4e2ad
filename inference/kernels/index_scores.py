"""Index scores in FP8, keys side by side: how much each new token wants each cached one. For prefill.

    score[t, c] = key_scale[c] * sum over heads i of weight[t, i] * relu(query[t, i] . key[c])

in fp32, as DeepSeek-V3.2-Exp defines it; the weights carry the queries' scales. Keys are the rows of the product and
heads its columns, so that a thread sums over heads within its own registers. The tensor cores give 32 sums of 128
products a cycle, and relu with its FMA can be issued for 64: the programs of one multiprocessor take turns.
Legend: T rows, C columns (keys of all sequences, side by side), I heads, J width.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.launch import Config

FP8 = torch.float8_e4m3fn
# ROWS share one product and DOTS products one tile of keys; a program goes over CHUNK columns.
# H200, 4096 rows at the end of 128K: 9.64 ms, 899 TFLOPS, 70% of what cuBLAS reaches in FP8; 8 warps take 12.3 ms.
CONFIGS = tuple(
    Config({"ROWS": rows, "DOTS": dots, "BLOCK_C": block, "CHUNK": chunk}, num_warps, num_stages)
    for rows, dots, block, chunk, num_warps, num_stages in (
        (4, 1, 64, 8192, 4, 4),
        (4, 1, 64, 8192, 4, 3),
        (4, 1, 64, 8192, 8, 4),
        (4, 1, 64, 32768, 4, 4),
        (2, 2, 64, 8192, 4, 4),
        (2, 1, 128, 8192, 4, 3),
        (2, 1, 128, 8192, 8, 4),
        (2, 1, 64, 8192, 4, 4),
        (4, 1, 128, 8192, 8, 4),
    )
)


def index_scores(
    queries_TIJ: Tensor,
    weights_TI: Tensor,
    keys_CJ: Tensor,
    key_scales_C: Tensor,
    starts_T: Tensor,
    ends_T: Tensor,
    *,
    out_TC: Tensor | None = None,
    config: Config = CONFIGS[0],
) -> Tensor:
    """fp32 (T, C). Of row t only the columns starts <= c < ends are promised: others hold -inf or what they held.

    Whoever reads the scores knows the ranges, and a prefill would write twice as much. Rows that lie side by side
    should have nearly the same range: columns are skipped where none of a program's rows wants them. The caller bounds
    memory: 4 * T * C bytes, so it gives as many rows at a time as its budget allows.
    """
    (num_rows, num_heads, width), num_columns = queries_TIJ.shape, len(keys_CJ)
    check_queries(queries_TIJ, weights_TI)
    for name, tensor, shape, dtype in (
        ("keys", keys_CJ, (num_columns, width), FP8),
        ("key_scales", key_scales_C, (num_columns,), torch.float32),
        ("starts", starts_T, (num_rows,), torch.int32),
        ("ends", ends_T, (num_rows,), torch.int32),
    ):
        if tensor.shape != shape or tensor.dtype != dtype or not tensor.is_contiguous():
            raise ValueError(f"{name}: {tensor.dtype} {tuple(tensor.shape)}, contiguous {dtype} {shape} expected")
    if out_TC is None:
        out_TC = torch.empty(num_rows, num_columns, dtype=torch.float32, device=queries_TIJ.device)
    if out_TC.shape != (num_rows, num_columns) or out_TC.stride(1) != 1:
        raise ValueError(
            f"out: shape {tuple(out_TC.shape)}, {(num_rows, num_columns)} with columns side by side expected"
        )
    if num_rows and num_columns:
        rows, chunk = config.blocks["ROWS"] * config.blocks["DOTS"], config.blocks["CHUNK"]
        _score_rows[(triton.cdiv(num_rows, rows), triton.cdiv(num_columns, chunk))](
            queries_TIJ,
            weights_TI,
            keys_CJ,
            key_scales_C,
            starts_T,
            ends_T,
            out_TC,
            num_rows,
            num_columns,
            out_TC.stride(0),
            HEADS=num_heads,
            WIDTH=width,
            **config.options,
        )
    return out_TC


def plain_index_scores(
    queries_TIJ: Tensor, weights_TI: Tensor, keys_CJ: Tensor, key_scales_C: Tensor, starts_T: Tensor, ends_T: Tensor
) -> Tensor:
    """fp32 (T, C), -inf outside a row's range."""
    dots_TIC = queries_TIJ.float() @ keys_CJ.float().T
    scores_TC = torch.einsum("ti,tic->tc", weights_TI, dots_TIC.relu()) * key_scales_C
    column_C = torch.arange(len(keys_CJ), device=keys_CJ.device)
    inside_TC = (column_C >= starts_T[:, None]) & (column_C < ends_T[:, None])
    return scores_TC.masked_fill(~inside_TC, -torch.inf)


def check_queries(queries_TIJ: Tensor, weights_TI: Tensor) -> None:
    """ValueError where the kernels of scores cannot take them."""
    if queries_TIJ.dtype != FP8 or not queries_TIJ.is_contiguous():
        raise ValueError(f"queries: {queries_TIJ.dtype}, contiguous {FP8} expected")
    if weights_TI.shape != queries_TIJ.shape[:2] or weights_TI.dtype != torch.float32 or not weights_TI.is_contiguous():
        raise ValueError(
            f"weights: {weights_TI.dtype} {tuple(weights_TI.shape)}, "
            f"contiguous {torch.float32} {tuple(queries_TIJ.shape[:2])} expected"
        )
    for name, size, lowest in (("heads", queries_TIJ.shape[1], 8), ("width", queries_TIJ.shape[2], 32)):
        if size < lowest or size & (size - 1):
            raise ValueError(f"{name} = {size}: a power of two from {lowest} on expected")


@triton.jit
def weighted_relu(dots: tl.tensor, weights: tl.tensor, HEADS: tl.constexpr, ROWS: tl.constexpr) -> tl.tensor:
    """(keys, ROWS) from the products (keys, ROWS * HEADS)."""
    weighted = tl.maximum(dots, 0.0) * weights[None, :]
    return tl.sum(tl.reshape(weighted, (dots.shape[0], ROWS, HEADS)), axis=2)


@triton.jit
def _score_rows(
    queries: tl.tensor,
    weights: tl.tensor,
    keys: tl.tensor,
    key_scales: tl.tensor,
    starts: tl.tensor,
    ends: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    num_columns: tl.tensor,
    out_stride: tl.tensor,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    DOTS: tl.constexpr,
    BLOCK_C: tl.constexpr,
    CHUNK: tl.constexpr,
) -> None:
    first = tl.program_id(0) * (ROWS * DOTS)
    row = first + tl.arange(0, ROWS * DOTS)
    start = tl.load(starts + row, mask=row < num_rows, other=0)
    end = tl.load(ends + row, mask=row < num_rows, other=0)
    chunk = tl.program_id(1) * CHUNK
    low = tl.maximum(tl.min(tl.where(start < end, start, num_columns)), chunk) // BLOCK_C * BLOCK_C
    high = tl.minimum(tl.max(tl.where(start < end, end, 0)), chunk + CHUNK)
    if low >= high:
        return

    column = tl.arange(0, BLOCK_C)
    width = tl.arange(0, WIDTH)
    head = tl.arange(0, ROWS * HEADS)
    queries += first.to(tl.int64) * HEADS * WIDTH
    weights += first * HEADS
    num_heads = (num_rows - first) * HEADS
    query_0 = tl.load(queries + head[:, None] * WIDTH + width[None, :], mask=head[:, None] < num_heads, other=0.0)
    weight_0 = tl.load(weights + head, mask=head < num_heads, other=0.0)
    row_0 = first + tl.arange(0, ROWS)
    start_0 = tl.load(starts + row_0, mask=row_0 < num_rows, other=0)
    end_0 = tl.load(ends + row_0, mask=row_0 < num_rows, other=0)
    if DOTS == 2:
        head_1 = ROWS * HEADS + head
        query_1 = tl.load(
            queries + head_1[:, None] * WIDTH + width[None, :], mask=head_1[:, None] < num_heads, other=0.0
        )
        weight_1 = tl.load(weights + head_1, mask=head_1 < num_heads, other=0.0)
        row_1 = row_0 + ROWS
        start_1 = tl.load(starts + row_1, mask=row_1 < num_rows, other=0)
        end_1 = tl.load(ends + row_1, mask=row_1 < num_rows, other=0)

    for base in range(low, high, BLOCK_C):
        at = base + column
        key = tl.load(
            keys + at.to(tl.int64)[:, None] * WIDTH + width[None, :], mask=at[:, None] < num_columns, other=0.0
        )
        scale = tl.load(key_scales + at, mask=at < num_columns, other=0.0)
        score = weighted_relu(tl.dot(key, tl.trans(query_0)), weight_0, HEADS, ROWS)
        _store_scores(out, score, scale, at, row_0, start_0, end_0, num_rows, num_columns, out_stride)
        if DOTS == 2:
            score = weighted_relu(tl.dot(key, tl.trans(query_1)), weight_1, HEADS, ROWS)
            _store_scores(out, score, scale, at, row_1, start_1, end_1, num_rows, num_columns, out_stride)


@triton.jit
def _store_scores(
    out: tl.tensor,
    score: tl.tensor,
    scale: tl.tensor,
    at: tl.tensor,
    row: tl.tensor,
    start: tl.tensor,
    end: tl.tensor,
    num_rows: tl.tensor,
    num_columns: tl.tensor,
    out_stride: tl.tensor,
) -> None:
    at = at[:, None]
    inside = (at >= start[None, :]) & (at < end[None, :])
    score = tl.where(inside, score * scale[:, None], float("-inf"))
    mask = (at < num_columns) & (row[None, :] < num_rows)
    tl.store(out + row.to(tl.int64)[None, :] * out_stride + at, score, mask=mask, cache_modifier=".cs")
