"""Products of sorted tokens with the FP8 weights of their experts: many rows an expert, so tokens are the tiles' rows.

Both factors are e4m3. Activations have one scale for each token and group of 128, weights one for each 128x128 block;
sums are promoted to fp32 every 128 of the inner dimension, where both scales come in. Tiles of one expert run side by
side, so that its weights come from memory once; where its last tile has but REST rows, they are computed as few rows
are, with the weights as the tile's rows.
Legend: T tokens, D hidden, F expert width, E experts, R rows sorted by expert (see permute.py), M tiles of them,
G = D/128 and H = F/128 groups.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from inference.kernels.e4m3 import quantize_group
from inference.kernels.expert_tiles import (
    check_products,
    check_sizes,
    check_tiles,
    dequantize_groups,
    find_tile,
    launch_gate_up,
    used_tiles,
)
from inference.kernels.grouped_linear_few import down_few_tile, gate_up_few_tile
from inference.kernels.launch import BF16, Config
from inference.kernels.permute import Permutation
from inference.quantization import FP8_BLOCK, dequantize_blocks, quantize_groups


def _gate_up_config(block_m: int, rest: int, num_warps: int, num_stages: int) -> Config:
    blocks = {"BLOCK_M": block_m, "BLOCK_K": 128, "REST": rest}
    return Config(blocks, num_warps=num_warps, num_stages=num_stages)


def _down_config(block_m: int, block_n: int, rest: int, num_warps: int, num_stages: int) -> Config:
    blocks = {"BLOCK_M": block_m, "BLOCK_N": block_n, "BLOCK_K": 128, "REST": rest}
    if num_warps == 4:
        blocks["maxnreg"] = 168  # three programs a multiprocessor; it would take 173
    return Config(blocks, num_warps=num_warps, num_stages=num_stages)


GATE_UP = (
    _gate_up_config(128, 32, 16, 4),
    _gate_up_config(128, 32, 16, 3),
)
DOWN = (
    _down_config(128, 256, 32, 16, 4),
    _down_config(64, 128, 32, 4, 3),
)


def gate_up(
    x_TD: Tensor,
    x_scale_TG: Tensor,
    weight_EFD: Tensor,
    weight_scale_EHG: Tensor,
    permutation: Permutation,
    *,
    out: tuple[Tensor, Tensor] | None = None,
    config: Config = GATE_UP[0],
) -> tuple[Tensor, Tensor]:
    """silu(gate x) * up x of every row, quantised anew: e4m3 (R, F) and its scales (R, H).

    An expert's weight holds F gate rows, then F up rows: weight_EFD (E, 2F, D), weight_scale_EHG (E, 2H, G).
    """
    rows = config.blocks["BLOCK_M"]
    return launch_gate_up(
        _gate_up_kernel, rows, x_TD, x_scale_TG, weight_EFD, weight_scale_EHG, permutation, out, config
    )


def down(
    h_RF: Tensor,
    h_scale_RH: Tensor,
    weight_EDF: Tensor,
    weight_scale_EGH: Tensor,
    permutation: Permutation,
    *,
    out: Tensor | None = None,
    config: Config = DOWN[0],
) -> Tensor:
    """Every row's product with its expert's weight (E, D, F): (R, D) in the model's type, not weighed yet."""
    num_experts, hidden, width = weight_EDF.shape
    check_sizes(hidden, width)
    check_products(h_RF, h_scale_RH, weight_EDF, weight_scale_EGH)
    check_tiles(permutation, config.blocks["BLOCK_M"])
    if out is None:
        out = torch.empty(len(h_RF), hidden, dtype=BF16, device=h_RF.device)
    num_tiles, block_n = len(permutation.tile_MF), config.blocks["BLOCK_N"]
    if hidden % block_n:
        raise ValueError(f"hidden {hidden}: a multiple of {block_n} expected")
    if num_tiles:
        rows = weight_EDF.view(num_experts * hidden, width)
        _down_kernel[(num_tiles * (hidden // block_n),)](
            h_RF,
            h_scale_RH,
            TensorDescriptor.from_tensor(rows, [FP8_BLOCK, config.blocks["BLOCK_K"]]),
            TensorDescriptor.from_tensor(rows, [block_n, config.blocks["BLOCK_K"]]),
            weight_scale_EGH,
            out,
            permutation.tile_MF,
            D=hidden,
            F=width,
            FIELDS=permutation.tile_MF.shape[1],
            **config.options,
        )
    return out


def plain_gate_up(
    x_TD: Tensor, x_scale_TG: Tensor, weight_EFD: Tensor, weight_scale_EHG: Tensor, permutation: Permutation
) -> tuple[Tensor, Tensor]:
    """Rows that no tile covers are zero."""
    width = weight_EFD.shape[1] // 2
    h_RF = x_scale_TG.new_zeros(permutation.row_TK.numel(), width)
    x_TD = dequantize_groups(x_TD, x_scale_TG)
    for expert, start, end in used_tiles(permutation):
        weight_FD = dequantize_blocks(weight_EFD[expert], weight_scale_EHG[expert])
        gate, up = (x_TD[permutation.token_R[start:end].long()] @ weight_FD.T).chunk(2, dim=-1)
        h_RF[start:end] = torch.nn.functional.silu(gate) * up
    values, scale_RH = quantize_groups(h_RF)
    return values.flatten(1), scale_RH


def plain_down(
    h_RF: Tensor, h_scale_RH: Tensor, weight_EDF: Tensor, weight_scale_EGH: Tensor, permutation: Permutation
) -> Tensor:
    """Rows that no tile covers are zero."""
    out_RD = h_scale_RH.new_zeros(len(h_RF), weight_EDF.shape[1])
    h_RF = dequantize_groups(h_RF, h_scale_RH)
    for expert, start, end in used_tiles(permutation):
        out_RD[start:end] = h_RF[start:end] @ dequantize_blocks(weight_EDF[expert], weight_scale_EGH[expert]).T
    return out_RD.to(BF16)


@triton.jit
def _gate_up_kernel(
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
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
    REST: tl.constexpr,
) -> None:
    expert, start, end, column = find_tile(tile_ptr, F // 128, FIELDS)
    if expert >= 0:
        if end - start <= REST:
            gate_up_few_tile(
                x_ptr, x_scale_ptr, weight_desc, weight_scale_ptr, h_ptr, h_scale_ptr, token_ptr,
                expert, start, end, column, D, F, REST, BLOCK_K,
            )  # fmt: skip
        else:
            _gate_up_tile(
                x_ptr, x_scale_ptr, weight_desc, weight_scale_ptr, h_ptr, h_scale_ptr, token_ptr,
                expert, start, end, column, D, F, BLOCK_M, BLOCK_K,
            )  # fmt: skip


@triton.jit
def _gate_up_tile(
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
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
) -> None:
    """128 gate columns and the 128 up columns beside them: one group of the result."""
    H: tl.constexpr = F // 128
    G: tl.constexpr = D // BLOCK_K
    rows = start + tl.arange(0, BLOCK_M)
    is_row = rows < end
    tokens = tl.load(token_ptr + rows, mask=is_row, other=0)
    inner = tl.arange(0, BLOCK_K)
    x_ptrs = x_ptr + tokens.to(tl.int64)[:, None] * D + inner[None, :]
    x_scales = x_scale_ptr + tokens * G
    gate_row = expert * (2 * F) + column * 128
    gate_scales = weight_scale_ptr + (expert.to(tl.int64) * (2 * H) + column) * G
    up_scales = gate_scales + H * G
    gate = tl.zeros((BLOCK_M, 128), tl.float32)
    up = tl.zeros((BLOCK_M, 128), tl.float32)
    # Scales are loaded a step ahead: nothing else hides their latency.
    next_x_scale = tl.load(x_scales)
    next_gate_scale = tl.load(gate_scales)
    next_up_scale = tl.load(up_scales)
    for k in range(G):
        x_scale, gate_scale, up_scale = next_x_scale, next_gate_scale, next_up_scale
        ahead = tl.minimum(k + 1, G - 1)
        next_x_scale = tl.load(x_scales + ahead)
        next_gate_scale = tl.load(gate_scales + ahead)
        next_up_scale = tl.load(up_scales + ahead)
        x = tl.load(x_ptrs + k * BLOCK_K, mask=is_row[:, None], other=0.0)
        gate_weight = weight_desc.load([gate_row, k * BLOCK_K])
        up_weight = weight_desc.load([gate_row + F, k * BLOCK_K])
        gate += tl.dot(x, gate_weight.T) * (x_scale * gate_scale)[:, None]
        up += tl.dot(x, up_weight.T) * (x_scale * up_scale)[:, None]
    values, scale = quantize_group(gate * tl.sigmoid(gate) * up)
    columns = column * 128 + tl.arange(0, 128)
    tl.store(h_ptr + rows.to(tl.int64)[:, None] * F + columns[None, :], values, mask=is_row[:, None])
    tl.store(h_scale_ptr + rows[:, None] * H + column, scale, mask=is_row[:, None])


@triton.jit
def _down_kernel(
    h_ptr: tl.tensor,
    h_scale_ptr: tl.tensor,
    weight_desc: tl.tensor,
    wide_desc: tl.tensor,
    weight_scale_ptr: tl.tensor,
    out_ptr: tl.tensor,
    tile_ptr: tl.tensor,
    D: tl.constexpr,
    F: tl.constexpr,
    FIELDS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    REST: tl.constexpr,
) -> None:
    expert, start, end, column = find_tile(tile_ptr, D // BLOCK_N, FIELDS)
    if expert >= 0:
        if end - start <= REST:
            down_few_tile(
                h_ptr, h_scale_ptr, wide_desc, weight_scale_ptr, out_ptr,
                expert, start, end, column, D, F, BLOCK_N, REST, BLOCK_K,
            )  # fmt: skip
        else:
            _down_tile(
                h_ptr, h_scale_ptr, weight_desc, weight_scale_ptr, out_ptr,
                expert, start, end, column, D, F, BLOCK_M, BLOCK_N, BLOCK_K,
            )  # fmt: skip


@triton.jit
def _down_tile(
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
    """One or two blocks of 128 columns."""
    G: tl.constexpr = D // 128
    H: tl.constexpr = F // BLOCK_K
    rows = start + tl.arange(0, BLOCK_M)
    is_row = rows < end
    inner = tl.arange(0, BLOCK_K)
    h_ptrs = h_ptr + rows.to(tl.int64)[:, None] * F + inner[None, :]
    h_scales = h_scale_ptr + tl.where(is_row, rows, 0) * H
    weight_row = expert * D + column * BLOCK_N
    scales = weight_scale_ptr + (expert.to(tl.int64) * G + column * (BLOCK_N // 128)) * H
    second_scales = scales + (BLOCK_N // 256) * H
    out = tl.zeros((BLOCK_M, 128), tl.float32)
    second = tl.zeros((BLOCK_M, 128), tl.float32)
    next_h_scale = tl.load(h_scales)
    next_scale = tl.load(scales)
    next_second_scale = tl.load(second_scales)
    for k in range(H):
        h_scale, scale, second_scale = next_h_scale, next_scale, next_second_scale
        ahead = tl.minimum(k + 1, H - 1)
        next_h_scale = tl.load(h_scales + ahead)
        next_scale = tl.load(scales + ahead)
        next_second_scale = tl.load(second_scales + ahead)
        h = tl.load(h_ptrs + k * BLOCK_K, mask=is_row[:, None], other=0.0)
        weight = weight_desc.load([weight_row, k * BLOCK_K])
        out += tl.dot(h, weight.T) * (h_scale * scale)[:, None]
        if BLOCK_N == 256:
            weight = weight_desc.load([weight_row + 128, k * BLOCK_K])
            second += tl.dot(h, weight.T) * (h_scale * second_scale)[:, None]
    columns = column * BLOCK_N + tl.arange(0, 128)
    out_ptrs = out_ptr + rows.to(tl.int64)[:, None] * D + columns[None, :]
    tl.store(out_ptrs, out.to(out_ptr.dtype.element_ty), mask=is_row[:, None])
    if BLOCK_N == 256:
        tl.store(out_ptrs + 128, second.to(out_ptr.dtype.element_ty), mask=is_row[:, None])
