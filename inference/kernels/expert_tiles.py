"""What the experts' products have in common: what they demand of their inputs, and which tile a program has.

Legend: as in grouped_linear.py.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from inference.kernels.launch import Config
from inference.kernels.permute import Permutation
from inference.quantization import FP8, FP8_BLOCK


def check_products(x: Tensor, x_scale: Tensor, weight: Tensor, weight_scale: Tensor) -> None:
    """ValueError where shapes, types or layout are not those of a block-scaled product."""
    inner, groups = weight.shape[-1], -(-weight.shape[-1] // FP8_BLOCK)
    if x.dtype != FP8 or weight.dtype != FP8:
        raise ValueError(f"types {x.dtype} and {weight.dtype}: {FP8} expected")
    if inner % 16 or x.shape[-1] != inner:
        raise ValueError(f"inner dimensions {x.shape[-1]} and {inner}: equal multiples of 16 expected")
    if x_scale.shape != (len(x), groups):
        raise ValueError(f"scales {tuple(x_scale.shape)}: {(len(x), groups)} expected")
    blocks = (*weight.shape[:-2], -(-weight.shape[-2] // FP8_BLOCK), groups)
    if weight_scale.shape != blocks:
        raise ValueError(f"weight scales {tuple(weight_scale.shape)}: {blocks} expected")
    for tensor in (x, x_scale, weight, weight_scale):
        if not tensor.is_contiguous():
            raise ValueError(f"strides {tensor.stride()} of {tuple(tensor.shape)}: contiguous expected")


def check_sizes(hidden: int, width: int) -> None:
    if hidden % FP8_BLOCK or width % FP8_BLOCK:
        raise ValueError(f"hidden {hidden}, width {width}: multiples of {FP8_BLOCK} expected, an expert's blocks whole")


def check_tiles(permutation: Permutation, tile_rows: int) -> None:
    if permutation.tile_rows != tile_rows:
        raise ValueError(f"tiles of {permutation.tile_rows} rows: {tile_rows} expected, as the kernel is cut")


def launch_gate_up(
    kernel: Any,
    tile_rows: int,
    x_TD: Tensor,
    x_scale_TG: Tensor,
    weight_EFD: Tensor,
    weight_scale_EHG: Tensor,
    permutation: Permutation,
    out: tuple[Tensor, Tensor] | None,
    config: Config,
) -> tuple[Tensor, Tensor]:
    """See grouped_linear.gate_up; `tile_rows` is how the kernel is cut."""
    num_experts, width, hidden = weight_EFD.shape
    width //= 2
    check_products(x_TD, x_scale_TG, weight_EFD, weight_scale_EHG)
    check_tiles(permutation, tile_rows)
    check_sizes(hidden, width)
    num_rows = permutation.row_TK.numel()
    if out is None:
        out = x_TD.new_empty(num_rows, width), x_scale_TG.new_empty(num_rows, width // FP8_BLOCK)
    num_tiles = len(permutation.tile_MF)
    if num_tiles:
        rows = weight_EFD.view(num_experts * 2 * width, hidden)
        kernel[(num_tiles * (width // FP8_BLOCK),)](
            x_TD,
            x_scale_TG,
            TensorDescriptor.from_tensor(rows, [FP8_BLOCK, config.blocks["BLOCK_K"]]),
            weight_scale_EHG,
            out[0],
            out[1],
            permutation.token_R,
            permutation.tile_MF,
            D=hidden,
            F=width,
            FIELDS=permutation.tile_MF.shape[1],
            **config.options,
        )
    return out


def dequantize_groups(x: Tensor, scale: Tensor) -> Tensor:
    """fp32 (rows, width) of e4m3 with one scale a group."""
    return x.float() * scale.repeat_interleave(FP8_BLOCK, dim=-1)[..., : x.shape[-1]]


def used_tiles(permutation: Permutation) -> list[tuple[int, int, int]]:
    """Expert, first row and end row of each tile, for plain forms: this waits for the device."""
    tiles = permutation.tile_MF[:, :3].tolist()
    return [(expert, start, end) for expert, start, end in tiles if expert >= 0]


@triton.jit
def find_tile(tile_ptr: tl.tensor, num_columns: tl.constexpr, FIELDS: tl.constexpr) -> tl.tensor:
    """Expert, first row, end row and column tile of this program: columns outside, an expert's row tiles inside.

    Programs that run together so read the same weights.
    """
    pid = tl.program_id(0)
    fields = tile_ptr + (pid // num_columns) * FIELDS
    expert = tl.load(fields)
    first_tile = tl.load(fields + 3)
    num_tiles = tl.maximum(tl.load(fields + 4), 1)
    place = pid - first_tile * num_columns
    column = place // num_tiles
    fields = tile_ptr + (first_tile + place % num_tiles) * FIELDS
    return expert, tl.load(fields + 1), tl.load(fields + 2), column
