"""256 next tokens from a vocabulary of 129280, drawn in each way that the card may draw them."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.timing import replayed
from inference.kernels.launch import INTERPRETED, Config
from inference.kernels.sample import CONFIGS, Draws, plain_sample, sample

ROWS, VOCABULARY = 256, 129280


def _draws(rows: int, temperature: float, top_k: int, top_p: float, device: torch.device) -> Draws:
    numbers = torch.arange(rows, device=device)
    return Draws(
        temperature_S=torch.full((rows,), temperature, device=device),
        top_k_S=torch.full((rows,), top_k, dtype=torch.int32, device=device),
        top_p_S=torch.full((rows,), top_p, dtype=torch.float64, device=device),
        seed_S=numbers * 7919 - 3,
        choice_S=numbers % 3,
        position_S=numbers * 11,
    )


def small(device: torch.device) -> Problem:
    """Each way of drawing, on rows that end within a cell; one row cannot be drawn from."""
    vocabulary = 5003 if INTERPRETED else 100_003  # a row of the latter takes the interpreter ten seconds to search
    logits_SV = torch.randn(9, vocabulary, generator=torch.Generator().manual_seed(1)) * 4
    logits_SV[7, vocabulary - 4] = torch.nan
    logits_SV = logits_SV.to(device)
    draws = Draws(
        temperature_S=torch.tensor([0, 1, 0.7, 1, 1.3, 1, 0.2, 1, 1], device=device),
        top_k_S=torch.tensor([0, 0, 0, 20, 0, 40, 1, 0, 3000], dtype=torch.int32, device=device),
        top_p_S=torch.tensor([1, 1, 1, 1, 0.9, 0.95, 0.5, 1, 0.999], dtype=torch.float64, device=device),
        seed_S=torch.arange(9, device=device) - 4,
        choice_S=torch.arange(9, device=device) % 2,
        position_S=torch.arange(9, device=device) * 1000,
    )

    def run(config: Config) -> Tensor:
        out = torch.full((9,), -7, dtype=torch.int64, device=device)
        return sample(logits_SV, draws, out=out, config=config)

    return Problem(run, lambda: plain_sample(logits_SV, draws))


def full(device: torch.device, temperature: float, top_k: int, top_p: float) -> Problem:
    """A token's probability falls as its rank to the power of 1.5: 0.95 of it lies with about 240 tokens."""
    ranks = torch.arange(1, VOCABULARY + 1, device=device)
    logits_SV = torch.stack([-1.5 * ranks[torch.randperm(VOCABULARY, device=device)].log() for _ in range(ROWS)])
    draws = _draws(ROWS, temperature, top_k, top_p, device)
    return Problem(
        replayed(lambda config: sample(logits_SV, draws, config=config)),
        num_bytes=ROWS * VOCABULARY * 4,
        rivals={"argmax": lambda: logits_SV.argmax(dim=-1)} if temperature == 0 else {},
    )


def _case(
    name: str, temperature: float, top_k: int, top_p: float, goal: float | None = 0.5, num_configs: int = 2
) -> Case:
    problem = partial(full, temperature=temperature, top_k=top_k, top_p=top_p)
    return Case(f"sample {ROWS}x{VOCABULARY}, {name}", CONFIGS[:num_configs], small, problem, "copy", goal)


CASES = (
    _case("greedy", 0.0, 0, 1.0),
    _case("temperature 1", 1.0, 0, 1.0, num_configs=len(CONFIGS)),
    _case("top_p 0.95", 1.0, 0, 0.95, num_configs=len(CONFIGS)),
    _case("top_k 50, top_p 0.95", 1.0, 50, 0.95),
    _case("top_p 0.95 of flat rows", 3.0, 0, 0.95, goal=None, num_configs=1),
)
