"""The norm between two parts of a layer, for a step of prefill and one of decode."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.timing import replayed
from inference.kernels.launch import BF16, Config
from inference.kernels.norm import CONFIGS, plain_rms_norm, plain_rms_norm_fp8, rms_norm, rms_norm_fp8

WIDTH, EPS = 7168, 1e-6


def _inputs(rows: int, width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, stream = torch.randn(2, rows, width, generator=generator)
    weight = torch.randn(width, generator=generator) * 0.1 + 1
    return x.to(device, BF16), stream.mul_(3).to(device), weight.to(device, BF16)


def small(device: torch.device) -> Problem:
    """Added, normed, and rounded with what is rounded kept."""
    x_TD, before_TD, weight_D = _inputs(7, WIDTH, device)

    def run(config: Config) -> tuple[Tensor, ...]:
        stream_TD, normed_TD = before_TD.clone(), torch.full_like(x_TD, torch.nan)
        values, scale = rms_norm_fp8(x_TD, weight_D, EPS, residual_TD=stream_TD, out=normed_TD, config=config)
        return stream_TD, normed_TD, values.float(), scale

    def plain() -> tuple[Tensor, ...]:
        stream_TD = before_TD.clone()
        values, scale = plain_rms_norm_fp8(x_TD, weight_D, EPS, stream_TD)
        return stream_TD, plain_rms_norm(stream_TD, weight_D, EPS), values.float(), scale

    return Problem(run, plain, tolerance=1e-3)


def small_alone(device: torch.device) -> Problem:
    x_TD, _, weight_D = _inputs(9, WIDTH, device)
    return Problem(
        lambda config: rms_norm(x_TD, weight_D, EPS, out=torch.full_like(x_TD, torch.nan), config=config),
        lambda: plain_rms_norm(x_TD, weight_D, EPS),
        tolerance=1e-3,
    )


def full(device: torch.device, rows: int) -> Problem:
    x_TD = torch.randn(rows, WIDTH, device=device, dtype=BF16)
    stream_TD = torch.randn(rows, WIDTH, device=device)
    weight_D = torch.ones(WIDTH, device=device, dtype=BF16)

    def run(config: Config) -> tuple[Tensor, Tensor]:
        return rms_norm_fp8(x_TD, weight_D, EPS, residual_TD=stream_TD, config=config)

    return Problem(replayed(run), num_bytes=rows * WIDTH * (2 + 4 + 4 + 1 + 4 / 128))


def full_alone(device: torch.device) -> Problem:
    """The stream as it is, to bfloat16: what the last norm does, and one that PyTorch has a kernel for."""
    x_TD = torch.randn(4096, WIDTH, device=device)
    weight_D = torch.ones(WIDTH, device=device)
    return Problem(
        replayed(lambda config: rms_norm(x_TD, weight_D, EPS, config=config)),
        num_bytes=4096 * WIDTH * (4 + 2),
        rivals={"F.rms_norm, rounded": lambda: F.rms_norm(x_TD, (WIDTH,), weight_D, EPS).to(BF16)},
    )


CASES = (
    Case("add + norm + quantize 4096x7168", CONFIGS, small, partial(full, rows=4096), "copy", goal=0.85),
    Case("add + norm + quantize 128x7168", CONFIGS, small, partial(full, rows=128), "copy"),
    Case("norm 4096x7168", CONFIGS, small_alone, full_alone, "copy", goal=0.85),
)
