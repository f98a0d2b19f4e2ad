"""The experts' products for 4096 tokens, and for a decode step, whose time is that of reading the touched experts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.routed import (
    CHOSEN,
    EXPERTS,
    HIDDEN,
    WIDTH,
    activations,
    choices,
    poison,
    small_activations,
    small_generator,
    small_weights,
    weights,
)
from inference.bench.gpu.timing import replayed
from inference.kernels import grouped_linear as many
from inference.kernels import grouped_linear_few as few
from inference.kernels.expert_tiles import dequantize_groups
from inference.kernels.grouped_linear import down, gate_up, plain_down, plain_gate_up
from inference.kernels.grouped_linear_few import down_few, gate_up_few
from inference.kernels.launch import BF16, Config
from inference.kernels.permute import Permutation, plain_permute
from inference.quantization import FP8, FP8_BLOCK

TOKENS = 4096
BATCH = 8
SMALL_TOKENS, FEW_TOKENS = 170, 30
SMALL_EXPERTS, SMALL_HIDDEN, SMALL_WIDTH = 4, 1024, 256

GateUp = Callable[..., tuple[Tensor, Tensor]]
Down = Callable[..., Tensor]


def permutations(ids_TK: Tensor, experts: int) -> Callable[[Config, str], Permutation]:
    """Made ready for every size of tile, since a configuration says how many rows it wants."""
    made = {rows: plain_permute(ids_TK, experts, rows) for rows in (16, 32, 64, 128)}
    return lambda config, name: made[config.blocks[name]]


def small_choices(device: torch.device, tokens: int = SMALL_TOKENS) -> tuple[Tensor, int]:
    """Choices and how many of them are of an expert: one expert has more than a tile holds, one none."""
    ids_TK = torch.randint(-1, SMALL_EXPERTS - 1, (tokens, 2), generator=small_generator(), dtype=torch.int32)
    ids_TK[:, 1] = 1
    return ids_TK.to(device), int((ids_TK >= 0).sum())


def small_gate_up(launch: GateUp, tile: str, tokens: int, device: torch.device) -> Problem:
    ids_TK, num_rows = small_choices(device, tokens)
    permutation = permutations(ids_TK, SMALL_EXPERTS)
    x = small_activations(tokens, SMALL_HIDDEN, device)
    weight = small_weights(SMALL_EXPERTS, 2 * SMALL_WIDTH, SMALL_HIDDEN, device)

    def run(config: Config) -> Tensor:
        shape, groups = (ids_TK.numel(), SMALL_WIDTH), SMALL_WIDTH // FP8_BLOCK
        out = poison(shape, FP8, device), poison((shape[0], groups), torch.float32, device)
        return dequantize_groups(*launch(*x, *weight, permutation(config, tile), out=out, config=config))[:num_rows]

    def plain() -> Tensor:
        return dequantize_groups(*plain_gate_up(*x, *weight, plain_permute(ids_TK, SMALL_EXPERTS, 16)))[:num_rows]

    # Hopper sums 128 e4m3 products with 14 bits: some results round to the neighbouring e4m3, 6% away.
    return Problem(run, plain=plain, tolerance=2e-2)


def small_down(launch: Down, tile: str, tokens: int, device: torch.device) -> Problem:
    ids_TK, num_rows = small_choices(device, tokens)
    permutation = permutations(ids_TK, SMALL_EXPERTS)
    h = small_activations(ids_TK.numel(), SMALL_WIDTH, device)
    weight = small_weights(SMALL_EXPERTS, SMALL_HIDDEN, SMALL_WIDTH, device)

    def run(config: Config) -> Tensor:
        out = poison((ids_TK.numel(), SMALL_HIDDEN), BF16, device)
        return launch(*h, *weight, permutation(config, tile), out=out, config=config)[:num_rows]

    def plain() -> Tensor:
        return plain_down(*h, *weight, plain_permute(ids_TK, SMALL_EXPERTS, 16))[:num_rows]

    return Problem(run, plain=plain, tolerance=4e-3)


def full_gate_up(device: torch.device) -> Problem:
    permutation = permutations(choices(TOKENS, device), EXPERTS)
    x = activations(TOKENS, HIDDEN, device)
    weight = weights(EXPERTS, 2 * WIDTH, HIDDEN, device)
    rows = TOKENS * CHOSEN
    out = torch.empty(rows, WIDTH, dtype=FP8, device=device), torch.empty(rows, WIDTH // FP8_BLOCK, device=device)
    return Problem(
        lambda config: gate_up(*x, *weight, permutation(config, "BLOCK_M"), out=out, config=config),
        flops=2 * rows * 2 * WIDTH * HIDDEN,
        num_bytes=weight[0].numel() + x[0].numel() + out[0].numel(),
    )


def full_down(device: torch.device) -> Problem:
    permutation = permutations(choices(TOKENS, device), EXPERTS)
    rows = TOKENS * CHOSEN
    h = activations(rows, WIDTH, device)
    weight = weights(EXPERTS, HIDDEN, WIDTH, device)
    out = torch.empty(rows, HIDDEN, dtype=BF16, device=device)
    return Problem(
        lambda config: down(*h, *weight, permutation(config, "BLOCK_M"), out=out, config=config),
        flops=2 * rows * HIDDEN * WIDTH,
        num_bytes=weight[0].numel() + h[0].numel() + 2 * out.numel(),
    )


def all_touched(device: torch.device) -> Tensor:
    """Of 256 experts a batch of 8 touches about 57; here each of its 64 choices is another one."""
    return torch.randperm(BATCH * CHOSEN, device=device).int().view(BATCH, CHOSEN)


def full_gate_up_few(device: torch.device) -> Problem:
    experts = BATCH * CHOSEN
    permutation = permutations(all_touched(device), experts)
    x = activations(BATCH, HIDDEN, device)
    weight = weights(experts, 2 * WIDTH, HIDDEN, device)
    return Problem(
        replayed(lambda config: gate_up_few(*x, *weight, permutation(config, "BLOCK_N"), config=config)),
        flops=2 * experts * 2 * WIDTH * HIDDEN,
        num_bytes=weight[0].numel(),
    )


def full_down_few(device: torch.device) -> Problem:
    experts = BATCH * CHOSEN
    permutation = permutations(all_touched(device), experts)
    h = activations(experts, WIDTH, device)
    weight = weights(experts, HIDDEN, WIDTH, device)
    return Problem(
        replayed(lambda config: down_few(*h, *weight, permutation(config, "BLOCK_N"), config=config)),
        flops=2 * experts * HIDDEN * WIDTH,
        num_bytes=weight[0].numel(),
    )


CASES = (
    Case(
        "MoE gate and up, 4096 tokens",
        many.GATE_UP,
        partial(small_gate_up, gate_up, "BLOCK_M", SMALL_TOKENS),
        full_gate_up,
        ceiling="fp8",
        goal=0.6,
    ),
    Case(
        "MoE down, 4096 tokens",
        many.DOWN,
        partial(small_down, down, "BLOCK_M", SMALL_TOKENS),
        full_down,
        ceiling="fp8",
        goal=0.6,
    ),
    Case(
        "MoE gate and up, batch 8",
        few.GATE_UP,
        partial(small_gate_up, gate_up_few, "BLOCK_N", FEW_TOKENS),
        full_gate_up_few,
        ceiling="copy",
        goal=0.8,
    ),
    Case(
        "MoE down, batch 8",
        few.DOWN,
        partial(small_down, down_few, "BLOCK_N", FEW_TOKENS),
        full_down_few,
        ceiling="copy",
        goal=0.8,
    ),
)
