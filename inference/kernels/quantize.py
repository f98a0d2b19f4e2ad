"""Activations to e4m3 with one scale for each 128 along a row, as FP8 products read them.

Says again what inference.quantization.quantize_groups says, without the padding of a partial last group.
Legend: T rows, D columns, G groups of a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.e4m3 import quantize_group
from inference.kernels.launch import Config
from inference.quantization import FP8, FP8_BLOCK, quantize_groups

CONFIGS = tuple(
    Config({"GROUPS": groups}, num_warps=warps, num_stages=1)
    for groups, warps in ((32, 4), (8, 4), (16, 4), (64, 8), (64, 4), (128, 8), (16, 2), (32, 8))
)


def quantize(x_TD: Tensor, config: Config = CONFIGS[0]) -> tuple[Tensor, Tensor]:
    """e4m3 (T, D) and fp32 scales (T, G). Rows may lie apart; a row's numbers are side by side."""
    if x_TD.dim() != 2 or x_TD.stride(1) != 1:
        raise ValueError(f"x: shape {tuple(x_TD.shape)}, strides {x_TD.stride()}: 2 dimensions, the last contiguous")
    num_rows, width = x_TD.shape
    num_groups = -(-width // FP8_BLOCK)
    values_TD = torch.empty(num_rows, width, dtype=FP8, device=x_TD.device)
    scale_TG = torch.empty(num_rows, num_groups, dtype=torch.float32, device=x_TD.device)
    if num_rows:
        grid = (triton.cdiv(num_rows * num_groups, config.blocks["GROUPS"]),)
        _quantize[grid](
            x_TD, values_TD, scale_TG, num_rows * num_groups, num_groups, x_TD.stride(0), width, **config.options
        )
    return values_TD, scale_TG


def plain_quantize(x_TD: Tensor) -> tuple[Tensor, Tensor]:
    values, scale = quantize_groups(torch.nn.functional.pad(x_TD, (0, -x_TD.shape[1] % FP8_BLOCK)))
    return values.flatten(1)[:, : x_TD.shape[1]], scale


@triton.jit
def _quantize(
    x_TD: tl.tensor,
    values_TD: tl.tensor,
    scale_TG: tl.tensor,
    num_tiles: tl.tensor,
    num_groups: tl.tensor,
    row_stride: tl.tensor,
    width: tl.tensor,
    GROUPS: tl.constexpr,
) -> None:
    """A program takes GROUPS groups one after another, whatever row they are of: every width fills the card."""
    groups = tl.program_id(0) * GROUPS + tl.arange(0, GROUPS)
    rows = (groups // num_groups).to(tl.int64)[:, None]
    columns = (groups % num_groups * 128)[:, None] + tl.arange(0, 128)[None, :]
    inside = (groups < num_tiles)[:, None] & (columns < width)
    x = tl.load(x_TD + rows * row_stride + columns, mask=inside, other=0.0).to(tl.float32)
    values, scale = quantize_group(x)
    tl.store(values_TD + rows * width + columns, values, mask=inside)
    tl.store(scale_TG + groups[:, None], scale, mask=(groups < num_tiles)[:, None])
