"""The indexer's queries of 4096 tokens made ready for FP8 scores, and their keys written to the cache."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.rope_cache import turns
from inference.bench.gpu.timing import replayed
from inference.kernels.index_cache import (
    KEY_CONFIGS,
    QUERY_CONFIGS,
    index_queries,
    plain_index_keys,
    plain_index_queries,
    plain_write_index_keys,
    write_index_keys,
)
from inference.kernels.launch import BF16, Config
from inference.quantization import FP8

TOKENS, HEADS, WIDTH, ROTARY, BLOCK_SIZE = 4096, 64, 128, 64, 64
PAGE_BYTES = BLOCK_SIZE * (WIDTH + 4)
SCALE = (HEADS * WIDTH) ** -0.5


def small_queries(device: torch.device) -> Problem:
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(7, HEADS, WIDTH, generator=generator).to(device, BF16)
    weight = torch.randn(7, HEADS, generator=generator).to(device)
    positions, turns_C2P = torch.tensor([0, 999, 1, 500, 501, 502, 8], device=device), turns(1000, device)

    def run(config: Config) -> tuple[Tensor, Tensor]:
        values, folded = index_queries(query, weight, positions, turns_C2P, SCALE, config)
        return values.float(), folded

    def plain() -> tuple[Tensor, Tensor]:
        values, folded = plain_index_queries(query, weight, positions, turns_C2P, SCALE)
        return values.float(), folded

    return Problem(run, plain, tolerance=2e-3)  # a sum's last digit decides ties of rounding


def full_queries(device: torch.device) -> Problem:
    query = torch.randn(2 * TOKENS, HEADS, WIDTH, device=device, dtype=BF16)
    weight = torch.randn(2 * TOKENS, HEADS, device=device)
    positions, turns_C2P = torch.arange(2 * TOKENS, device=device), turns(2 * TOKENS, device)
    moved = HEADS * (2 * WIDTH + WIDTH + 4 + 4) + 4 * ROTARY + 8
    return Problem(
        replayed(lambda config: index_queries(query, weight, positions, turns_C2P, SCALE, config)),
        num_bytes=2 * TOKENS * moved,
    )


def small_keys(device: torch.device) -> Problem:
    generator = torch.Generator().manual_seed(2)
    key = torch.randn(21, WIDTH + 64, generator=generator).to(device, BF16)[:, 64:]
    weight, bias = (torch.rand(2, WIDTH, generator=generator) + 0.5).to(device)
    positions, turns_C2P = torch.arange(21, device=device) * 47, turns(1000, device)
    slots = torch.randperm(192, generator=generator)[:21].to(device)
    slots[[3, 20]] = -1

    def empty_pages() -> Tensor:
        return torch.full((3, PAGE_BYTES), 7, dtype=torch.uint8, device=device)

    def run(config: Config) -> tuple[Tensor, Tensor]:
        pages = empty_pages()
        write_index_keys(key, weight, bias, positions, slots, turns_C2P, pages, config=config)
        return _parts(pages)

    def plain() -> tuple[Tensor, Tensor]:
        pages = empty_pages()
        values, scale = plain_index_keys(key, weight, bias, positions, turns_C2P, 1e-6)
        plain_write_index_keys(values, scale, slots, pages)
        return _parts(pages)

    return Problem(run, plain, tolerance=2e-3)


def _parts(pages: Tensor) -> tuple[Tensor, Tensor]:
    values, scales = torch.split(pages, [BLOCK_SIZE * WIDTH, BLOCK_SIZE * 4], dim=1)
    return values.contiguous().view(FP8).float(), scales.contiguous().view(torch.float32)


def full_keys(device: torch.device) -> Problem:
    """Small whatever is done: 4096 keys are a megabyte."""
    key = torch.randn(TOKENS, 2240, device=device, dtype=BF16)[:, -WIDTH:]
    weight, bias = torch.ones(2, WIDTH, device=device)
    positions, turns_C2P = torch.arange(TOKENS, device=device), turns(TOKENS, device)
    slots = torch.randperm(4 * TOKENS, device=device)[:TOKENS]
    pages = torch.zeros(4 * TOKENS // BLOCK_SIZE, PAGE_BYTES, dtype=torch.uint8, device=device)

    def run(config: Config) -> Tensor:
        write_index_keys(key, weight, bias, positions, slots, turns_C2P, pages, config=config)
        return pages

    return Problem(replayed(run), num_bytes=TOKENS * (2 * WIDTH + WIDTH + 4 + 4 * ROTARY + 16))


CASES = (
    Case(f"index queries {2 * TOKENS}", QUERY_CONFIGS, small_queries, full_queries, "copy", goal=0.7),
    Case(f"index key write {TOKENS}", KEY_CONFIGS, small_keys, full_keys, "copy"),
)
