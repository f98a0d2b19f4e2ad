"""The indexer of the default model over its bfloat16 cache: keys written, scores of a decode step."""

from __future__ import annotations

from itertools import cycle

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.kernels.index_pages import (
    KEY_CONFIGS,
    SCORE_CONFIGS,
    plain_index_keys,
    plain_score_pages,
    score_pages,
    write_index_pages,
)
from inference.kernels.launch import BF16, Config

EPS = 1e-6


def _turns(num_positions: int, half: int, device: torch.device) -> Tensor:
    angles = torch.arange(num_positions)[:, None] * 10000.0 ** (-torch.arange(half) / half)
    return torch.stack((angles.cos(), angles.sin()), dim=1).float().to(device)


def small_keys(device: torch.device) -> Problem:
    """Keys cut from a wider row, wider than their rotary part; one token is none."""
    generator = torch.Generator().manual_seed(5)
    key_TJ = torch.randn(6, 100, generator=generator).to(device, BF16)[:, 20:68]
    weight, bias = torch.randn(2, 48, generator=generator).to(device)
    positions_T = torch.tensor([0, 3, 50, 7, 99, 1], device=device)
    slots_T = torch.tensor([4, 0, 9, -1, 2, 5], device=device)
    turns = _turns(100, 16, device)

    def run(config: Config) -> Tensor:
        pages = torch.full((10, 48), torch.nan, dtype=BF16, device=device)
        write_index_pages(key_TJ, weight, bias, positions_T, slots_T, turns, pages, eps=EPS, config=config)
        return pages

    def plain() -> Tensor:
        pages = torch.full((10, 48), torch.nan, dtype=BF16, device=device)
        keys_TJ = plain_index_keys(key_TJ, weight, bias, positions_T, turns, EPS).to(BF16)
        pages[slots_T[slots_T >= 0]] = keys_TJ[slots_T >= 0]
        return pages

    return Problem(run, plain, tolerance=2e-3)


def full_keys(device: torch.device) -> Problem:
    key_TJ = torch.randn(4096, 64, device=device, dtype=BF16)
    weight, bias = torch.randn(2, 64, device=device)
    positions_T = torch.arange(4096, device=device)
    sets = cycle(torch.empty(64 * 4096, 64, device=device, dtype=BF16) for _ in range(4))
    slots_T = torch.randperm(64 * 4096, device=device)[:4096]
    turns = _turns(4096, 32, device)
    return Problem(
        lambda config: _written(
            key_TJ, weight, bias, positions_T, slots_T, turns, next(sets), config
        ),
        num_bytes=4096 * (64 * 2 * 2 + 64 * 4),
    )  # fmt: skip


def _written(
    key_TJ: Tensor,
    weight: Tensor,
    bias: Tensor,
    positions_T: Tensor,
    slots_T: Tensor,
    turns: Tensor,
    pages: Tensor,
    config: Config,
) -> Tensor:
    write_index_pages(key_TJ, weight, bias, positions_T, slots_T, turns, pages, eps=EPS, config=config)
    return pages


def small_scores(device: torch.device) -> Problem:
    """Three rows, of which one sees less than a page; beyond a row there is nothing in its table."""
    generator = torch.Generator().manual_seed(7)
    lengths_S = torch.tensor([70, 5, 192], dtype=torch.int32, device=device)
    tables = torch.tensor([[3, 0, -1], [5, -1, -1], [1, 4, 2]], dtype=torch.int32, device=device)
    pages = torch.randn(7 * 64, 32, generator=generator).to(device, BF16)
    queries = torch.randn(3, 5, 32, generator=generator).to(device, BF16)
    weights = torch.randn(3, 5, generator=generator).to(device)
    seen_SC = torch.arange(3 * 64, device=device) < lengths_S[:, None]

    def run(config: Config) -> Tensor:
        out = torch.full((3, 3 * 64), torch.nan, device=device)
        score_pages(queries, weights, pages, tables, lengths_S, out_SC=out, config=config)
        return out.masked_fill(~seen_SC, 0)

    return Problem(
        run,
        lambda: plain_score_pages(queries, weights, pages, tables).masked_fill(~seen_SC, 0),
        tolerance=2e-3,
    )


def full_scores(device: torch.device, num_rows: int) -> Problem:
    length, width, heads = 8192, 64, 8
    num_blocks = num_rows * length // 64
    pages = torch.randn(num_blocks * 64, width, device=device, dtype=BF16)
    tables = torch.randperm(num_blocks, device=device).int().view(num_rows, -1)
    lengths_S = torch.full((num_rows,), length, dtype=torch.int32, device=device)
    queries = torch.randn(num_rows, heads, width, device=device, dtype=BF16)
    weights = torch.randn(num_rows, heads, device=device)
    out = torch.empty(num_rows, length, device=device)
    return Problem(
        lambda config: score_pages(queries, weights, pages, tables, lengths_S, out_SC=out, config=config),
        num_bytes=num_rows * length * (width * 2 + 4),
        flops=2.0 * num_rows * length * heads * width,
    )


CASES = (
    Case("index keys to bfloat16 pages, 4096 tokens", KEY_CONFIGS, small_keys, full_keys, "copy"),
    Case(
        "index scores of bfloat16 pages, 256 rows of 8192", SCORE_CONFIGS, small_scores,
        lambda device: full_scores(device, 256), "copy",
    ),
)  # fmt: skip
