"""The experts' products of the embedded model, which is not quantised: 32 experts of 128 in 576."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.grouped_linear import permutations, small_choices
from inference.bench.gpu.routed import poison, small_generator
from inference.kernels.grouped_linear_bf16 import (
    DOWN,
    GATE_UP,
    down_bf16,
    gate_up_bf16,
    plain_down_bf16,
    plain_gate_up_bf16,
)
from inference.kernels.launch import BF16, Config
from inference.kernels.permute import plain_permute

TOKENS, HIDDEN, WIDTH, EXPERTS, CHOSEN = 8192, 576, 128, 32, 8
SMALL_HIDDEN, SMALL_WIDTH, SMALL_EXPERTS = 168, 72, 4


def small_gate_up(device: torch.device) -> Problem:
    ids_TK, num_rows = small_choices(device, 70)
    permutation = permutations(ids_TK, SMALL_EXPERTS)
    generator = small_generator()
    x_TD = torch.randn(len(ids_TK), SMALL_HIDDEN, generator=generator).to(device, BF16)
    shape = SMALL_EXPERTS, 2 * SMALL_WIDTH, SMALL_HIDDEN
    weight_EFD = (torch.randn(shape, generator=generator) * SMALL_HIDDEN**-0.5).to(device, BF16)

    def run(config: Config) -> Tensor:
        out = poison((ids_TK.numel(), SMALL_WIDTH), BF16, device)
        return gate_up_bf16(x_TD, weight_EFD, permutation(config, "BLOCK_M"), out=out, config=config)[:num_rows]

    def plain() -> Tensor:
        return plain_gate_up_bf16(x_TD, weight_EFD, plain_permute(ids_TK, SMALL_EXPERTS, 16))[:num_rows]

    return Problem(run, plain=plain, tolerance=4e-3)


def small_down(device: torch.device) -> Problem:
    ids_TK, num_rows = small_choices(device, 70)
    permutation = permutations(ids_TK, SMALL_EXPERTS)
    generator = small_generator()
    h_RF = torch.randn(ids_TK.numel(), SMALL_WIDTH, generator=generator).to(device, BF16)
    shape = SMALL_EXPERTS, SMALL_HIDDEN, SMALL_WIDTH
    weight_EDF = (torch.randn(shape, generator=generator) * SMALL_WIDTH**-0.5).to(device, BF16)

    def run(config: Config) -> Tensor:
        out = poison((ids_TK.numel(), SMALL_HIDDEN), BF16, device)
        return down_bf16(h_RF, weight_EDF, permutation(config, "BLOCK_M"), out=out, config=config)[:num_rows]

    def plain() -> Tensor:
        return plain_down_bf16(h_RF, weight_EDF, plain_permute(ids_TK, SMALL_EXPERTS, 16))[:num_rows]

    return Problem(run, plain=plain, tolerance=4e-3)


def full_choices(device: torch.device) -> Tensor:
    return torch.rand(TOKENS, EXPERTS, device=device).topk(CHOSEN).indices.int()


def full_gate_up(device: torch.device) -> Problem:
    permutation = permutations(full_choices(device), EXPERTS)
    x_TD = torch.randn(TOKENS, HIDDEN, device=device).to(BF16)
    weight_EFD = torch.randn(EXPERTS, 2 * WIDTH, HIDDEN, device=device).to(BF16)
    out = torch.empty(TOKENS * CHOSEN, WIDTH, dtype=BF16, device=device)
    return Problem(
        lambda config: gate_up_bf16(x_TD, weight_EFD, permutation(config, "BLOCK_M"), out=out, config=config),
        flops=2 * TOKENS * CHOSEN * 2 * WIDTH * HIDDEN,
        num_bytes=2 * (x_TD.numel() + weight_EFD.numel() + out.numel()),
    )


def full_down(device: torch.device) -> Problem:
    permutation = permutations(full_choices(device), EXPERTS)
    h_RF = torch.randn(TOKENS * CHOSEN, WIDTH, device=device).to(BF16)
    weight_EDF = torch.randn(EXPERTS, HIDDEN, WIDTH, device=device).to(BF16)
    out = torch.empty(TOKENS * CHOSEN, HIDDEN, dtype=BF16, device=device)
    return Problem(
        lambda config: down_bf16(h_RF, weight_EDF, permutation(config, "BLOCK_M"), out=out, config=config),
        flops=2 * TOKENS * CHOSEN * WIDTH * HIDDEN,
        num_bytes=2 * (h_RF.numel() + weight_EDF.numel() + out.numel()),
    )


CASES = (
    Case("small MoE gate and up, 8192 tokens", GATE_UP, small_gate_up, full_gate_up, ceiling="bf16"),
    Case("small MoE down, 8192 tokens", DOWN, small_down, full_down, ceiling="copy"),
)
