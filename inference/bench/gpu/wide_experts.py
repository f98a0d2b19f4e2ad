"""The activation of the default model's MLPs, for steps of 256 and of 4096 tokens."""

from __future__ import annotations

from itertools import cycle

import torch

from inference.bench.gpu.case import Case, Problem
from inference.kernels.launch import BF16, Config
from inference.kernels.wide_experts import CONFIGS, activate_wide, plain_activate_wide

L2_BYTES = 60 * 2**20


def small(device: torch.device) -> Problem:
    """Eleven experts, of which three are one and one is nobody's; widths that no block divides."""
    generator = torch.Generator().manual_seed(3)
    both_TX = torch.randn(5, 2 * (24 + 4 * 40), generator=generator).to(device, BF16)
    ids_TK = torch.randint(11, (5, 3), generator=generator, dtype=torch.int32).to(device)
    weights_TK = torch.randn(5, 3, generator=generator).to(device)
    distinct_of_E = torch.tensor([0, 1, 2, 3, 0, 0, 2, 3, 4, 1, 2], dtype=torch.int32, device=device)

    def run(config: Config) -> torch.Tensor:
        out = torch.full((5, 24 + 4 * 40), torch.nan, dtype=BF16, device=device)
        return activate_wide(both_TX, 24, 40, ids_TK, weights_TK, distinct_of_E, out=out, config=config)

    return Problem(run, lambda: plain_activate_wide(both_TX, 24, 40, ids_TK, weights_TK, distinct_of_E), tolerance=2e-3)


def full(device: torch.device, num_tokens: int) -> Problem:
    width = 1536
    num_bytes = num_tokens * 3 * width * 2
    sets = cycle(
        torch.randn(num_tokens, 2 * width, device=device, dtype=BF16) for _ in range(max(1, 4 * L2_BYTES // num_bytes))
    )
    ids_TK = torch.randint(32, (num_tokens, 8), dtype=torch.int32, device=device)
    weights_TK = torch.rand(num_tokens, 8, device=device)
    distinct_of_E = torch.arange(32, dtype=torch.int32, device=device) % 8
    return Problem(
        lambda config: activate_wide(next(sets), 512, 128, ids_TK, weights_TK, distinct_of_E, config=config),
        num_bytes=num_bytes,
    )


CASES = (
    Case("wide experts' activation, 4096 tokens", CONFIGS, small, lambda device: full(device, 4096), "copy"),
    Case("wide experts' activation, 256 tokens", CONFIGS, small, lambda device: full(device, 256), "copy"),
)
