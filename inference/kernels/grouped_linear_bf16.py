"""Products of sorted tokens with their experts' weights in the model's own type: for models that are not quantised.

Legend: T tokens, D hidden, F expert width, E experts, R rows sorted by expert (see permute.py), M tiles of them.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.expert_tiles import check_tiles, find_tile, used_tiles
from inference.kernels.launch import Config
from inference.kernels.permute import Permutation

GATE_UP = (
    Config({"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64}, num_warps=8, num_stages=3),
    Config({"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 64}, num_warps=4, num_stages=4),
    Config({"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 64}, num_warps=4, num_stages=3),
    Config({"BLOCK_M": 64, "BLOCK_N": 128, "BLOCK_K": 64}, num_warps=8, num_stages=3),
    Config({"BLOCK_M": 16, "BLOCK_N": 64, "BLOCK_K": 64}, num_warps=4, num_stages=4),
)
DOWN = (
    Config({"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64}, num_warps=8, num_stages=3),
    Config({"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 64}, num_warps=4, num_stages=3),
    Config({"BLOCK_M": 64, "BLOCK_N": 128, "BLOCK_K": 64}, num_warps=4, num_stages=3),
    Config({"BLOCK_M": 16, "BLOCK_N": 64, "BLOCK_K": 64}, num_warps=4, num_stages=4),
)


def gate_up_bf16(
    x_TD: Tensor,
    weight_EFD: Tensor,
    permutation: Permutation,
    *,
    out: Tensor | None = None,
    config: Config = GATE_UP[0],
) -> Tensor:
    """silu(gate x) * up x of every row: (R, F). An expert's weight (E, 2F, D) holds F gate rows, then F up rows."""
    check_plain_products(x_TD, weight_EFD)
    check_tiles(permutation, config.blocks["BLOCK_M"])
    width, hidden = weight_EFD.shape[1] // 2, weight_EFD.shape[2]
    if out is None:
        out = x_TD.new_empty(permutation.row_TK.numel(), width)
    num_tiles = len(permutation.tile_MF)
    if num_tiles:
        _gate_up_kernel[(num_tiles * triton.cdiv(width, config.blocks["BLOCK_N"]),)](
            x_TD,
            weight_EFD,
            out,
            permutation.token_R,
            permutation.tile_MF,
            D=hidden,
            F=width,
            FIELDS=permutation.tile_MF.shape[1],
            **config.options,
        )
    return out


def down_bf16(
    h_RF: Tensor,
    weight_EDF: Tensor,
    permutation: Permutation,
    *,
    out: Tensor | None = None,
    config: Config = DOWN[0],
) -> Tensor:
    """Every row's product with its expert's weight (E, D, F): (R, D), not weighed yet."""
    check_plain_products(h_RF, weight_EDF)
    check_tiles(permutation, config.blocks["BLOCK_M"])
    hidden, width = weight_EDF.shape[1:]
    if out is None:
        out = h_RF.new_empty(len(h_RF), hidden)
    num_tiles = len(permutation.tile_MF)
    if num_tiles:
        _down_kernel[(num_tiles * triton.cdiv(hidden, config.blocks["BLOCK_N"]),)](
            h_RF,
            weight_EDF,
            out,
            permutation.tile_MF,
            D=hidden,
            F=width,
            FIELDS=permutation.tile_MF.shape[1],
            **config.options,
        )
    return out


def check_plain_products(x: Tensor, weight: Tensor) -> None:
    if x.dtype != weight.dtype or x.shape[-1] != weight.shape[-1]:
        raise ValueError(f"x {x.dtype} (., {x.shape[-1]}): {weight.dtype} (., {weight.shape[-1]}) expected")
    if weight.shape[-1] % 8 or not (x.is_contiguous() and weight.is_contiguous()):
        raise ValueError(f"inner dimension {weight.shape[-1]}: contiguous rows of a multiple of 8 expected")


def plain_gate_up_bf16(x_TD: Tensor, weight_EFD: Tensor, permutation: Permutation) -> Tensor:
    """Rows that no tile covers are zero."""
    h_RF = x_TD.new_zeros(permutation.row_TK.numel(), weight_EFD.shape[1] // 2)
    for expert, start, end in used_tiles(permutation):
        x_RD = x_TD[permutation.token_R[start:end].long()].float()
        gate, up = (x_RD @ weight_EFD[expert].float().T).chunk(2, dim=-1)
        h_RF[start:end] = (torch.nn.functional.silu(gate) * up).to(x_TD.dtype)
    return h_RF


def plain_down_bf16(h_RF: Tensor, weight_EDF: Tensor, permutation: Permutation) -> Tensor:
    """Rows that no tile covers are zero."""
    out_RD = h_RF.new_zeros(len(h_RF), weight_EDF.shape[1])
    for expert, start, end in used_tiles(permutation):
        out_RD[start:end] = (h_RF[start:end].float() @ weight_EDF[expert].float().T).to(h_RF.dtype)
    return out_RD


@triton.jit
def _gate_up_kernel(
    x_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    h_ptr: tl.tensor,
    token_ptr: tl.tensor,
    tile_ptr: tl.tensor,
    D: tl.constexpr,
    F: tl.constexpr,
    FIELDS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
) -> None:
    expert, start, end, column = find_tile(tile_ptr, (F + BLOCK_N - 1) // BLOCK_N, FIELDS)
    if expert >= 0:
        rows = start + tl.arange(0, BLOCK_M)
        is_row = rows < end
        tokens = tl.load(token_ptr + rows, mask=is_row, other=0)
        columns = column * BLOCK_N + tl.arange(0, BLOCK_N)
        is_column = columns < F
        inner = tl.arange(0, BLOCK_K)
        x_ptrs = x_ptr + tokens.to(tl.int64)[:, None] * D + inner[None, :]
        gate_ptrs = weight_ptr + expert.to(tl.int64) * (2 * F * D) + columns[None, :] * D + inner[:, None]
        gate = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        up = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for k in range(0, D, BLOCK_K):
            is_inner = inner < D - k
            x = tl.load(x_ptrs + k, mask=is_row[:, None] & is_inner[None, :], other=0.0)
            gate_weight = tl.load(gate_ptrs + k, mask=is_column[None, :] & is_inner[:, None], other=0.0)
            up_weight = tl.load(gate_ptrs + (F * D + k), mask=is_column[None, :] & is_inner[:, None], other=0.0)
            gate = tl.dot(x, gate_weight, gate, input_precision="ieee")
            up = tl.dot(x, up_weight, up, input_precision="ieee")
        h = (gate * tl.sigmoid(gate) * up).to(h_ptr.dtype.element_ty)
        h_ptrs = h_ptr + rows.to(tl.int64)[:, None] * F + columns[None, :]
        tl.store(h_ptrs, h, mask=is_row[:, None] & is_column[None, :])


@triton.jit
def _down_kernel(
    h_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    out_ptr: tl.tensor,
    tile_ptr: tl.tensor,
    D: tl.constexpr,
    F: tl.constexpr,
    FIELDS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
) -> None:
    expert, start, end, column = find_tile(tile_ptr, (D + BLOCK_N - 1) // BLOCK_N, FIELDS)
    if expert >= 0:
        rows = start + tl.arange(0, BLOCK_M)
        is_row = rows < end
        columns = column * BLOCK_N + tl.arange(0, BLOCK_N)
        is_column = columns < D
        inner = tl.arange(0, BLOCK_K)
        h_ptrs = h_ptr + rows.to(tl.int64)[:, None] * F + inner[None, :]
        weight_ptrs = weight_ptr + expert.to(tl.int64) * (D * F) + columns[None, :] * F + inner[:, None]
        out = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for k in range(0, F, BLOCK_K):
            is_inner = inner < F - k
            h = tl.load(h_ptrs + k, mask=is_row[:, None] & is_inner[None, :], other=0.0)
            weight = tl.load(weight_ptrs + k, mask=is_column[None, :] & is_inner[:, None], other=0.0)
            out = tl.dot(h, weight, out, input_precision="ieee")
        out_ptrs = out_ptr + rows.to(tl.int64)[:, None] * D + columns[None, :]
        tl.store(out_ptrs, out.to(out_ptr.dtype.element_ty), mask=is_row[:, None] & is_column[None, :])
