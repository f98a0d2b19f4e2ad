"""Copies quantised tokens into the order of their experts, so that a tile's rows can be read as one block.

Legend: T tokens, D hidden, G groups of D, R rows sorted by expert (see permute.py).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.launch import Config
from inference.kernels.permute import Permutation

CONFIGS = (
    Config({"BLOCK_R": 8}, num_warps=8),
    Config({"BLOCK_R": 16}, num_warps=8),
    Config({"BLOCK_R": 4}, num_warps=4),
)


def scale_stride(num_rows: int) -> int:
    """Rows of scales that lie along R begin at multiples of 16 bytes."""
    return -(-num_rows // 4) * 4


def gather_rows(
    x_TD: Tensor, x_scale_TG: Tensor, permutation: Permutation, *, config: Config = CONFIGS[0]
) -> tuple[Tensor, Tensor]:
    """(R, D) and scales (G, R padded to a multiple of 4); what lies beyond the last row is undefined."""
    num_rows, (num_tokens, hidden) = len(permutation.token_R), x_TD.shape
    groups = x_scale_TG.shape[1]
    if x_scale_TG.shape[0] != num_tokens or not (x_TD.is_contiguous() and x_scale_TG.is_contiguous()):
        raise ValueError(
            f"scales {tuple(x_scale_TG.shape)} of {tuple(x_TD.shape)}: contiguous ones of each row expected"
        )
    rows_RD = x_TD.new_empty(num_rows, hidden)
    scale_GR = x_scale_TG.new_empty(groups, scale_stride(num_rows))
    if num_rows:
        _gather_kernel[(triton.cdiv(num_rows, config.blocks["BLOCK_R"]),)](
            x_TD.view(torch.uint8),
            x_scale_TG,
            rows_RD.view(torch.uint8),
            scale_GR,
            permutation.token_R,
            permutation.tile_MF,
            scale_GR.shape[1],
            D=hidden,
            G=groups,
            BLOCK_D=1024,
            BLOCK_G=triton.next_power_of_2(groups),
            **config.options,
        )
    return rows_RD, scale_GR


def plain_gather_rows(x_TD: Tensor, x_scale_TG: Tensor, permutation: Permutation) -> tuple[Tensor, Tensor]:
    """What lies beyond the last row is zero."""
    num_rows = len(permutation.token_R)
    used = int(permutation.tile_MF[0, 6]) if num_rows else 0
    tokens = permutation.token_R[:used].long()
    rows_RD = torch.zeros(num_rows, x_TD.shape[1], dtype=torch.uint8, device=x_TD.device)
    scale_GR = x_scale_TG.new_zeros(x_scale_TG.shape[1], scale_stride(num_rows))
    rows_RD[:used] = x_TD.view(torch.uint8)[tokens]
    scale_GR[:, :used] = x_scale_TG[tokens].T
    return rows_RD.view(x_TD.dtype), scale_GR


@triton.jit
def _gather_kernel(
    x_ptr: tl.tensor,
    x_scale_ptr: tl.tensor,
    row_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    token_ptr: tl.tensor,
    tile_ptr: tl.tensor,
    scale_stride: tl.tensor,
    D: tl.constexpr,
    G: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_R: tl.constexpr,
) -> None:
    rows = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    is_row = rows < tl.load(tile_ptr + 6)
    tokens = tl.load(token_ptr + rows, mask=is_row, other=0)
    groups = tl.arange(0, BLOCK_G)
    is_scale = is_row[:, None] & (groups < G)[None, :]
    scales = tl.load(x_scale_ptr + tokens[:, None] * G + groups[None, :], mask=is_scale)
    tl.store(scale_ptr + groups[None, :].to(tl.int64) * scale_stride + rows[:, None], scales, mask=is_scale)
    sources = x_ptr + tokens.to(tl.int64)[:, None] * D
    targets = row_ptr + rows.to(tl.int64)[:, None] * D
    for first in range(0, D, BLOCK_D):
        columns = first + tl.arange(0, BLOCK_D)
        is_value = is_row[:, None] & (columns < D)[None, :]
        tl.store(targets + columns[None, :], tl.load(sources + columns[None, :], mask=is_value), mask=is_value)
