"""Inputs for the kernels of the experts: tokens, weights and choices, as a layer of the large model has them.

Legend: as in inference/kernels/grouped_linear.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inference.quantization import FP8, FP8_BLOCK, quantize_blocks, quantize_groups

HIDDEN, WIDTH, EXPERTS, CHOSEN = 7168, 2048, 256, 8
GROUPS, KEPT_GROUPS = 8, 4


def small_generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def small_activations(rows: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """e4m3 and scales that differ from row to row and group to group."""
    generator = small_generator()
    x = torch.randn(rows, width, generator=generator) * torch.rand(rows, 1, generator=generator) * 3
    x[:, : width // 2] *= 8
    values, scale = quantize_groups(x)
    return values.flatten(1)[:, :width].contiguous().to(device), scale.to(device)


def small_weights(experts: int, rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """e4m3 (E, rows, columns) and scales that differ from block to block."""
    generator = small_generator()
    weight = torch.randn(experts, rows, columns, generator=generator)
    weight *= torch.rand(experts, rows, 1, generator=generator) * columns**-0.5
    weight[..., columns // 2 :] *= 4
    values, scales = zip(*(quantize_blocks(matrix) for matrix in weight), strict=True)
    return torch.stack(values).to(device), torch.stack(scales).to(device)


def activations(rows: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    values, scale = quantize_groups(torch.randn(rows, width, device=device))
    return values.flatten(1), scale


def weights(experts: int, rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Made expert by expert: a layer's are 11 GB."""
    values = torch.empty(experts, rows, columns, dtype=FP8, device=device)
    for matrix in values:
        matrix.copy_((torch.randn(rows, columns, device=device) * 90).clamp_(-448, 448))
    blocks = experts, -(-rows // FP8_BLOCK), -(-columns // FP8_BLOCK)
    return values, torch.ldexp(torch.ones(blocks, device=device), torch.randint(-14, -11, blocks, device=device))


def choices(tokens: int, device: torch.device) -> Tensor:
    """int32 (T, CHOSEN): experts at random, of KEPT_GROUPS groups a token."""
    groups = torch.rand(tokens, GROUPS, device=device).topk(KEPT_GROUPS).indices
    scores = torch.rand(tokens, GROUPS, EXPERTS // GROUPS, device=device)
    scores.scatter_add_(1, groups[..., None].expand(-1, -1, EXPERTS // GROUPS), torch.ones_like(scores))
    return scores.flatten(1).topk(CHOSEN).indices.int()


def poison(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """NaN throughout."""
    return torch.full(shape, torch.nan, device=device).to(dtype)
