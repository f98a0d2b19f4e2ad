"""Sums the experts' rows of each token, weighed, in the order of its choices: the same bits every time.

Legend: T tokens, K choices of a token (the shared expert may be one), R rows sorted by expert, D hidden.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.launch import Config

CONFIGS = (
    Config({"BLOCK_D": 1024}, num_warps=4),
    Config({"BLOCK_D": 2048}, num_warps=8),
    Config({"BLOCK_D": 512}, num_warps=2),
    Config({"BLOCK_D": 1024}, num_warps=8),
)


def combine(
    rows_RD: Tensor, row_TK: Tensor, weights_TK: Tensor, *, out: Tensor | None = None, config: Config = CONFIGS[0]
) -> Tensor:
    """(T, D) in the rows' type, summed in fp32. row_TK int32, -1 where there is no row; weights fp32."""
    if row_TK.shape != weights_TK.shape or row_TK.dtype != torch.int32 or weights_TK.dtype != torch.float32:
        raise ValueError(f"rows {row_TK.dtype} {tuple(row_TK.shape)}, weights {weights_TK.dtype}: int32, fp32 expected")
    num_tokens, choices = row_TK.shape
    hidden = rows_RD.shape[1]
    if out is None:
        out = rows_RD.new_empty(num_tokens, hidden)
    if num_tokens:
        _combine_kernel[(triton.cdiv(hidden, config.blocks["BLOCK_D"]), num_tokens)](
            rows_RD, row_TK, weights_TK, out, D=hidden, K=choices, **config.options
        )
    return out


def plain_combine(rows_RD: Tensor, row_TK: Tensor, weights_TK: Tensor) -> Tensor:
    out_TD = rows_RD.new_zeros(len(row_TK), rows_RD.shape[1], dtype=torch.float32)
    for row_T, weight_T in zip(row_TK.T.long(), weights_TK.T, strict=True):
        out_TD += torch.where(row_T < 0, 0.0, weight_T)[:, None] * rows_RD[row_T.clamp_min(0)].float().nan_to_num(0.0)
    return out_TD.to(rows_RD.dtype)


@triton.jit
def _combine_kernel(
    rows_ptr: tl.tensor,
    row_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    out_ptr: tl.tensor,
    D: tl.constexpr,
    K: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    token = tl.program_id(1).to(tl.int64)
    columns = tl.program_id(0) * BLOCK_D + tl.arange(0, BLOCK_D)
    is_column = columns < D
    total = tl.zeros((BLOCK_D,), tl.float32)
    for k in tl.static_range(K):
        row = tl.load(row_ptr + token * K + k)
        weight = tl.load(weight_ptr + token * K + k)
        values = tl.load(rows_ptr + row.to(tl.int64) * D + columns, mask=is_column & (row >= 0), other=0.0)
        total += weight * values.to(tl.float32)
    tl.store(out_ptr + token * D + columns, total.to(out_ptr.dtype.element_ty), mask=is_column)
