"""What this very card reaches: bytes copied a second, and products in bfloat16 and FP8, by what PyTorch has."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from inference.bench.gpu.case import Ceiling
from inference.bench.gpu.timing import median_seconds

MATRIX = 8192
COPY_BYTES = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Ceilings:
    copy: float  # bytes a second, read and written counted
    bf16: float  # FLOP a second
    fp8: float

    def of(self, ceiling: Ceiling) -> float:
        return {"copy": self.copy, "bf16": self.bf16, "fp8": self.fp8}[ceiling]


def measure() -> Ceilings:
    """On random numbers: products of zeros run an eighth faster."""
    flops = 2 * MATRIX**3
    return Ceilings(2 * COPY_BYTES / _copy_s(), flops / _bf16_s(), flops / _fp8_s())


def _copy_s() -> float:
    source = torch.randint(0, 256, (COPY_BYTES,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return median_seconds(lambda: target.copy_(source), 0.2)


def _bf16_s() -> float:
    left, right = (torch.randn(MATRIX, MATRIX, device="cuda").bfloat16() for _ in range(2))
    return median_seconds(lambda: left @ right, 0.3)


def _fp8_s() -> float:
    """One scale a matrix: the fastest form there is, and no promotion of the sums."""
    left, right = (torch.randn(MATRIX, MATRIX, device="cuda").to(torch.float8_e4m3fn) for _ in range(2))
    one = torch.ones((), device="cuda")
    return median_seconds(
        lambda: torch._scaled_mm(
            left, right.T, scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True
        ),
        0.3,
    )
