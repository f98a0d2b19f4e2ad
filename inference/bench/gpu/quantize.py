"""Activations to FP8: 4096 rows of the widest that a layer has."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.timing import replayed
from inference.kernels.launch import BF16, Config
from inference.kernels.quantize import CONFIGS, plain_quantize, quantize

ROWS, WIDTH = 4096, 16384  # attention's output, the input of o_proj


def small(device: torch.device) -> Problem:
    generator = torch.Generator().manual_seed(1)
    x_TD = torch.randn(7, 576, generator=generator) * torch.logspace(-6, 6, 7)[:, None]
    x_TD[3, 130:260] = 0
    x_TD = x_TD.to(device, BF16)

    def run(config: Config) -> tuple[Tensor, Tensor]:
        values, scale = quantize(x_TD, config)
        return values.float(), scale

    def plain() -> tuple[Tensor, Tensor]:
        values, scale = plain_quantize(x_TD)
        return values.float(), scale

    return Problem(run, plain)


def full(device: torch.device) -> Problem:
    x_TD = torch.randn(ROWS, WIDTH, device=device, dtype=BF16)
    return Problem(replayed(lambda config: quantize(x_TD, config)), num_bytes=ROWS * WIDTH * (2 + 1 + 4 / 128))


CASES = (Case(f"quantize {ROWS}x{WIDTH}", CONFIGS, small, full, "copy", goal=0.85),)
