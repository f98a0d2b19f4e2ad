"""Choosing experts: 4096 tokens of a prefill, and a decode step."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.routed import EXPERTS, HIDDEN, small_generator
from inference.bench.gpu.timing import replayed
from inference.kernels.gate import CONFIGS, FEW_CONFIGS, Choice, choose_experts, plain_choose_experts
from inference.kernels.launch import BF16, Config

CHOICE = Choice(num_groups=8, num_kept_groups=4, num_chosen=8, scaling=2.5, num_shared=1)
SMALL_TOKENS, SMALL_HIDDEN = 37, 7168


def small(device: torch.device) -> Problem:
    """Numbers of few digits, so that sums are exact in any order, and equal experts, which the lower number wins."""
    generator = small_generator()
    x_TD = (torch.randn(SMALL_TOKENS, SMALL_HIDDEN, generator=generator) * 2).round() / 8
    weight_ED = (torch.randn(EXPERTS, SMALL_HIDDEN, generator=generator) * 2).round() / 16
    bias_E = torch.randn(EXPERTS, generator=generator) / 10
    for twin, expert in ((9, 4), (200, 4), (64, 30)):
        weight_ED[twin], bias_E[twin] = weight_ED[expert], bias_E[expert]
    bias_E[torch.tensor([4, 9, 200, 30, 64])] += 1
    x_TD[3] = 0
    inputs = x_TD.to(device, BF16), weight_ED.to(device, BF16), bias_E.to(device)
    columns = CHOICE.num_chosen + CHOICE.num_shared

    def run(config: Config) -> tuple[Tensor, Tensor]:
        ids = torch.full((SMALL_TOKENS, columns), -7, dtype=torch.int32, device=device)
        out = ids, torch.full(ids.shape, torch.nan, device=device)
        return choose_experts(*inputs, CHOICE, out=out, config=config)

    return Problem(run, plain=lambda: plain_choose_experts(*inputs, CHOICE), tolerance=1e-6)


def full(tokens: int, device: torch.device) -> Problem:
    x_TD = torch.randn(tokens, HIDDEN, device=device).to(BF16)
    weight_ED = (torch.randn(EXPERTS, HIDDEN, device=device) * HIDDEN**-0.5).to(BF16)
    bias_E = torch.randn(EXPERTS, device=device) / 10
    counters = torch.zeros(tokens, dtype=torch.int32, device=device)
    return Problem(
        replayed(lambda config: choose_experts(x_TD, weight_ED, bias_E, CHOICE, counters=counters, config=config)),
        flops=2 * tokens * EXPERTS * HIDDEN,
        num_bytes=2 * (x_TD.numel() + weight_ED.numel()) + 8 * tokens * (CHOICE.num_chosen + CHOICE.num_shared),
        rivals={"logits alone": lambda: x_TD @ weight_ED.T},
    )


CASES = (
    Case("gate, 4096 tokens", CONFIGS, small, partial(full, 4096), ceiling="bf16"),
    Case("gate, batch 128", FEW_CONFIGS, small, partial(full, 128), ceiling="copy"),
)
