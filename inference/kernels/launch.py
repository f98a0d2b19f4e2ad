"""What every launch needs: how a kernel is cut and staged, and whether the interpreter stands in for a card."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
BF16 = torch.float32 if INTERPRETED else torch.bfloat16  # the model's type, as far as the interpreter can follow


@dataclass(frozen=True, slots=True)
class Config:
    """One way to launch a kernel. Chosen by measuring on the card (`bench-gpu --sweep`), never while serving."""

    blocks: dict[str, int] = field(default_factory=dict)  # the kernel's own constants, as BLOCK_M
    num_warps: int = 4
    num_stages: int = 2

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the launch."""
        return {**self.blocks, "num_warps": self.num_warps, "num_stages": self.num_stages}

    def __str__(self) -> str:
        blocks = " ".join(f"{name}={value}" for name, value in self.blocks.items())
        return f"{blocks} warps={self.num_warps} stages={self.num_stages}".strip()


def num_multiprocessors(device: torch.device) -> int:
    """Of the card; 4 where the interpreter stands in for one, so that persistent grids wrap around."""
    return 4 if device.type == "cpu" else torch.cuda.get_device_properties(device).multi_processor_count
