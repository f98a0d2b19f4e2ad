"""Sorting 4096 tokens by expert, and summing what their experts gave."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.routed import (
    CHOSEN,
    EXPERTS,
    HIDDEN,
    choices,
    poison,
    small_generator,
)
from inference.bench.gpu.timing import replayed
from inference.kernels import combine as combining
from inference.kernels import permute as permuting
from inference.kernels.combine import combine, plain_combine
from inference.kernels.launch import BF16, Config
from inference.kernels.permute import Permutation, permute, plain_permute

TOKENS, TILE_ROWS = 4096, 128


def small_permute(device: torch.device) -> Problem:
    """Choices of no expert among them; an expert that nobody chose, and one that has more than a tile."""
    ids_TK = torch.randint(-1, 250, (67, CHOSEN), generator=small_generator(), dtype=torch.int32)
    ids_TK[:, 1] = 3
    ids_TK = ids_TK.to(device)
    num_rows = int((ids_TK >= 0).sum())

    def outputs(permutation: Permutation) -> tuple[Tensor, ...]:
        return permutation.row_TK, permutation.token_R[:num_rows], permutation.tile_MF[:, :7]

    return Problem(
        lambda config: outputs(permute(ids_TK, EXPERTS, 16, config=config)),
        plain=lambda: outputs(plain_permute(ids_TK, EXPERTS, 16)),
    )


def full_permute(device: torch.device) -> Problem:
    ids_TK = choices(TOKENS, device)

    def run(config: Config) -> Tensor:
        return permute(ids_TK, EXPERTS, TILE_ROWS, config=config).row_TK

    return Problem(
        replayed(run),
        num_bytes=3 * 4 * ids_TK.numel(),
        rivals={"a stable sort alone": lambda: ids_TK.flatten().sort(stable=True)},
    )


def small_combine(device: torch.device) -> Problem:
    generator = small_generator()
    rows_RD = torch.randn(60, 1032, generator=generator).to(device, BF16)
    row_TK = torch.randperm(60, generator=generator).int().view(20, 3)
    rows_RD[row_TK[6].long().to(device)] = torch.nan  # what stands where no row was written
    row_TK[6] = row_TK[4, 1] = row_TK[5, 0] = -1
    row_TK = row_TK.to(device)
    weights_TK = torch.rand(20, 3, generator=generator).to(device)

    def run(config: Config) -> Tensor:
        return combine(rows_RD, row_TK, weights_TK, out=poison((20, 1032), BF16, device), config=config)

    return Problem(run, plain=lambda: plain_combine(rows_RD, row_TK, weights_TK), tolerance=1e-3)


def full_combine(device: torch.device) -> Problem:
    row_TK = torch.randperm(TOKENS * CHOSEN, device=device).int().view(TOKENS, CHOSEN)
    rows_RD = torch.randn(TOKENS * CHOSEN, HIDDEN, device=device).to(BF16)
    weights_TK = torch.rand(TOKENS, CHOSEN, device=device)
    out = torch.empty(TOKENS, HIDDEN, dtype=BF16, device=device)
    return Problem(
        lambda config: combine(rows_RD, row_TK, weights_TK, out=out, config=config),
        num_bytes=2 * (rows_RD.numel() + out.numel()),
    )


CASES = (
    Case("permutation, 4096 tokens", permuting.CONFIGS, small_permute, full_permute, ceiling="copy"),
    Case("sum of experts, 4096 tokens", combining.CONFIGS, small_combine, full_combine, ceiling="copy", goal=0.8),
)
