"""The products of grouped_linear.py for a few rows an expert: weights are the tiles' rows, and stream past the tokens.

With one to a few rows an expert a product takes as long as reading its weights. A tile of 16 tokens wastes little, and
many bytes of weights are on their way at once.
Legend: as in grouped_linear.py.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from inference.kernels.e4m3 import quantize_group
from inference.kernels.expert_tiles import check_products, check_sizes, check_tiles, find_tile, launch_gate_up
from inference.kernels.launch import BF16, Config
from inference.kernels.permute import Permutation


def _gate_up_config(block_n: int, num_warps: int, num_stages: int) -> Config:
    return Config({"BLOCK_N": block_n, "BLOCK_K": 128}, num_warps=num_warps, num_stages=num_stages)


def _down_config(block_m: int, block_n: int, num_warps: int, num_stages: int) -> Config:
    blocks = {"BLOCK_M": block_m, "BLOCK_N": block_n, "BLOCK_K": 128}
    return Config(blocks, num_warps=num_warps, num_stages=num_stages)


GATE_UP = (
    _gate_up_config(16, 4, 6),
    _gate_up_config(16, 8, 6),
    _gate_up_config(16, 4, 3),
    _gate_up_config(32, 8, 6),
)
DOWN = (
    _down_config(64, 16, 4, 6),
    _down_config(128, 16, 4, 6),
    _down_config(64, 16, 4, 8),
    _down_config(128, 32, 4, 4),
)


def gate_up_few(
    x_TD: Tensor,
    x_scale_TG: Tensor,
    weight_EFD: Tensor,
    weight_scale_EHG: Tensor,
    permutation: Permutation,
    *,
    out: tuple[Tensor, Tensor] | None = None,
    config: Config = GATE_UP[0],
) -> tuple[Tensor, Tensor]:
    """As `gate_up`."""
    rows = config.blocks["BLOCK_N"]
    return launch_gate_up(
        _gate_up_few_kernel, rows, x_TD, x_scale_TG, weight_EFD, weight_scale_EHG, permutation, out, config
    )


def down_few(
    h_RF: Tensor,
    h_scale_RH: Tensor,
    weight_EDF: Tensor,
    weight_scale_EGH: Tensor,
    permutation: Permutation,
    *,
    out: Tensor | None = None,
    config: Config = DOWN[0],
) -> Tensor:
    """As `down`."""
    num_experts, hidden, width = weight_EDF.shape
    check_sizes(hidden, width)
    check_products(h_RF, h_scale_RH, weight_EDF, weight_scale_EGH)
    check_tiles(permutation, config.blocks["BLOCK_N"])
    if out is None:
        out = torch.empty(len(h_RF), hidden, dtype=BF16, device=h_RF.device)
    num_tiles, block_m = len(permutation.tile_MF), config.blocks["BLOCK_M"]
    if num_tiles:
        rows = weight_EDF.view(num_experts * hidden, width)
        _down_few_kernel[(num_tiles * (hidden // block_m),)](
            h_RF,
            h_scale_RH,
            TensorDescriptor.from_tensor(rows, [block_m, config.blocks["BLOCK_K"]]),
            weight_scale_EGH,
            out,
            permutation.tile_MF,
            D=hidden,
            F=width,
            FIELDS=permutation.tile_MF.shape[1],
            **config.options,
        )
    return out


@triton.jit
def _gate_up_few_kernel(
    x_ptr: tl.tensor,
    x_scale_ptr: tl.tensor,
    weight_desc: tl.tensor,
    weight_scale_ptr: tl.tensor,
    h_ptr: tl.tensor,
    h_scale_ptr: tl.tensor,
    token_ptr: tl.tensor,
    tile_ptr: tl.tensor,
    D: tl.constexpr,
    F: tl.constexpr,
    FIELDS: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
) -> None:
    expert, start, end, column = find_tile(tile_ptr, F // 128, FIELDS)
    if expert >= 0:
        gate_up_few_tile(
            x_ptr, x_scale_ptr, weight_desc, weight_scale_ptr, h_ptr, h_scale_ptr, token_ptr,
            expert, start, end, column, D, F, BLOCK_N, BLOCK_K,
        )  # fmt: skip


@triton.jit
def gate_up_few_tile(
    x_ptr: tl.tensor,
    x_scale_ptr: tl.tensor,
    weight_desc: tl.tensor,
    weight_scale_ptr: tl.tensor,
    h_ptr: tl.tensor,
    h_scale_ptr: tl.tensor,
    token_ptr: tl.tensor,
    expert: tl.tensor,
    start: tl.tensor,
    end: tl.tensor,
    column: tl.tensor,
    D: tl.constexpr,
    F: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
) -> None:
    """128 gate rows and the 128 up rows beside them: one group of the result."""
    H: tl.constexpr = F // 128
    G: tl.constexpr = D // BLOCK_K
    rows = start + tl.arange(0, BLOCK_N)
    is_row = rows < end
    tokens = tl.load(token_ptr + rows, mask=is_row, other=0)
    inner = tl.arange(0, BLOCK_K)
    x_ptrs = x_ptr + tokens.to(tl.int64)[None, :] * D + inner[:, None]
    x_scales = x_scale_ptr + tokens * G
    gate_scales = weight_scale_ptr + (expert.to(tl.int64) * (2 * H) + column) * G
    next_x_scale = tl.load(x_scales)
    gate_row = expert * (2 * F) + column * 128
    up_scales = gate_scales + H * G
    gate = tl.zeros((128, BLOCK_N), tl.float32)
    up = tl.zeros((128, BLOCK_N), tl.float32)
    next_gate_scale = tl.load(gate_scales)
    next_up_scale = tl.load(up_scales)
    for k in range(G):
        x_scale, gate_scale, up_scale = next_x_scale, next_gate_scale, next_up_scale
        ahead = tl.minimum(k + 1, G - 1)
        next_x_scale = tl.load(x_scales + ahead)
        next_gate_scale = tl.load(gate_scales + ahead)
        next_up_scale = tl.load(up_scales + ahead)
        x = tl.load(x_ptrs + k * BLOCK_K, mask=is_row[None, :], other=0.0)
        gate_weight = weight_desc.load([gate_row, k * BLOCK_K])
        up_weight = weight_desc.load([gate_row + F, k * BLOCK_K])
        gate += tl.dot(gate_weight, x) * (x_scale * gate_scale)[None, :]
        up += tl.dot(up_weight, x) * (x_scale * up_scale)[None, :]
    gate = tl.trans(gate)
    up = tl.trans(up)
    values, scale = quantize_group(gate * tl.sigmoid(gate) * up)
    columns = column * 128 + tl.arange(0, 128)
    tl.store(h_ptr + rows.to(tl.int64)[:, None] * F + columns[None, :], values, mask=is_row[:, None])
    tl.store(h_scale_ptr + rows[:, None] * H + column, scale, mask=is_row[:, None])


@triton.jit
def _down_few_kernel(
    h_ptr: tl.tensor,
    h_scale_ptr: tl.tensor,
    weight_desc: tl.tensor,
    weight_scale_ptr: tl.tensor,
    out_ptr: tl.tensor,
    tile_ptr: tl.tensor,
    D: tl.constexpr,
    F: tl.constexpr,
    FIELDS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
) -> None:
    expert, start, end, column = find_tile(tile_ptr, D // BLOCK_M, FIELDS)
    if expert >= 0:
        down_few_tile(
            h_ptr, h_scale_ptr, weight_desc, weight_scale_ptr, out_ptr,
            expert, start, end, column, D, F, BLOCK_M, BLOCK_N, BLOCK_K,
        )  # fmt: skip


@triton.jit
def down_few_tile(
    h_ptr: tl.tensor,
    h_scale_ptr: tl.tensor,
    weight_desc: tl.tensor,
    weight_scale_ptr: tl.tensor,
    out_ptr: tl.tensor,
    expert: tl.tensor,
    start: tl.tensor,
    end: tl.tensor,
    column: tl.tensor,
    D: tl.constexpr,
    F: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
) -> None:
    """BLOCK_M rows of the weight: half a block, one, or two."""
    G: tl.constexpr = D // 128
    H: tl.constexpr = F // BLOCK_K
    rows = start + tl.arange(0, BLOCK_N)
    is_row = rows < end
    inner = tl.arange(0, BLOCK_K)
    h_ptrs = h_ptr + rows.to(tl.int64)[None, :] * F + inner[:, None]
    h_scales = h_scale_ptr + tl.where(is_row, rows, 0) * H
    scales = weight_scale_ptr + (expert.to(tl.int64) * G + column * BLOCK_M // 128) * H
    if BLOCK_M > 128:
        scales = scales + tl.arange(0, BLOCK_M)[:, None] // 128 * H
    out = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    next_h_scale = tl.load(h_scales)
    next_scale = tl.load(scales)
    for k in range(H):
        h_scale, scale = next_h_scale, next_scale
        ahead = tl.minimum(k + 1, H - 1)
        next_h_scale = tl.load(h_scales + ahead)
        next_scale = tl.load(scales + ahead)
        h = tl.load(h_ptrs + k * BLOCK_K, mask=is_row[None, :], other=0.0)
        weight = weight_desc.load([expert * D + column * BLOCK_M, k * BLOCK_K])
        out += tl.dot(weight, h) * (h_scale[None, :] * scale)
    columns = column * BLOCK_M + tl.arange(0, BLOCK_M)
    out_ptrs = out_ptr + rows.to(tl.int64)[:, None] * D + columns[None, :]
    tl.store(out_ptrs, tl.trans(out).to(out_ptr.dtype.element_ty), mask=is_row[:, None])
