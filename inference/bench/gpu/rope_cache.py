"""Turning 4096 tokens' queries and keys and writing their latents to the cache, in both its formats."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.timing import replayed
from inference.kernels.launch import BF16, Config
from inference.kernels.rope_cache import CONFIGS, plain_rotate, plain_write, rotate_and_write
from inference.quantization import FP8, FP8_BLOCK

TOKENS, HEADS, NOPE, RANK, WIDTH = 4096, 128, 128, 512, 64
SLOT_BYTES = RANK + RANK // FP8_BLOCK * 4 + 2 * WIDTH


def turns(length: int, device: torch.device) -> Tensor:
    angles = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(0, WIDTH, 2) / WIDTH)
    return torch.stack((angles.cos(), angles.sin()), dim=1).float().to(device)


def small(device: torch.device, in_fp8: bool) -> Problem:
    """One latent that is normed and stored in FP8, or three a token that are stored as they are."""
    heads, groups, rank = (HEADS, 1, RANK) if in_fp8 else (9, 3, 64)
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(7, heads, NOPE + WIDTH, generator=generator).to(device, BF16)[..., NOPE:]
    joined = torch.randn(7, groups * (rank + WIDTH) + 128, generator=generator).to(device, BF16)
    latent = torch.unflatten(joined[:, : groups * rank], 1, (groups, rank))
    rotary = torch.unflatten(joined[:, groups * rank : groups * (rank + WIDTH)], 1, (groups, WIDTH))
    weight = (torch.rand(rank, generator=generator) + 0.5).to(device) if in_fp8 else None
    positions = torch.tensor([0, 999, 1, 500, 501, 502, 8], device=device)
    slots = torch.tensor([130, 0, 64, -1, 63, 191, 65], device=device)
    turns_C2P = turns(1000, device)

    def empty_pages() -> Tensor:
        if in_fp8:
            return torch.full((192, SLOT_BYTES), 7, dtype=torch.uint8, device=device)
        return torch.full((192, groups, rank + WIDTH), -7, dtype=BF16, device=device)

    def run(config: Config) -> tuple[Tensor, ...]:
        pages, out = empty_pages(), torch.full_like(query, torch.nan)
        rotate_and_write(
            query, latent, rotary, positions, slots, turns_C2P, pages, norm_weight_R=weight, out_THP=out, config=config
        )
        return out, *_parts(pages)

    def plain() -> tuple[Tensor, ...]:
        pages = empty_pages()
        keys = plain_rotate(rotary, positions, turns_C2P)
        plain_write(latent, keys, slots, pages, norm_weight_R=weight)
        return plain_rotate(query, positions, turns_C2P), *_parts(pages)

    return Problem(run, plain, tolerance=1e-3 if in_fp8 else 0.0)


def _parts(pages: Tensor) -> tuple[Tensor, ...]:
    if pages.dtype != torch.uint8:
        return (pages,)
    values, scales, keys = torch.split(pages, [RANK, RANK // FP8_BLOCK * 4, 2 * WIDTH], dim=1)
    return (
        values.contiguous().view(FP8).float(),
        scales.contiguous().view(torch.float32),
        keys.contiguous().view(torch.bfloat16).float(),
    )


def full(device: torch.device, in_fp8: bool) -> Problem:
    """134 MB of queries pass, so that no cache holds them; they go where the absorbed queries are wanted."""
    query = torch.randn(TOKENS, HEADS, NOPE + WIDTH, device=device, dtype=BF16)[..., NOPE:]
    out = torch.empty(TOKENS, HEADS, RANK + WIDTH, device=device, dtype=BF16)[..., RANK:]
    joined = torch.randn(TOKENS, 1536 + RANK + WIDTH + 128, device=device, dtype=BF16)
    latent, rotary = joined[:, None, 1536 : 1536 + RANK], joined[:, None, 1536 + RANK : 1536 + RANK + WIDTH]
    weight = torch.ones(RANK, device=device, dtype=BF16)
    positions = torch.arange(TOKENS, device=device)
    slots = torch.randperm(4 * TOKENS, device=device)[:TOKENS]
    shape = (4 * TOKENS, SLOT_BYTES) if in_fp8 else (4 * TOKENS, 1, RANK + WIDTH)
    pages = torch.zeros(shape, dtype=torch.uint8 if in_fp8 else BF16, device=device)
    turns_C2P = turns(TOKENS, device)

    def run(config: Config) -> Tensor:
        rotate_and_write(
            query, latent, rotary, positions, slots, turns_C2P, pages, norm_weight_R=weight, out_THP=out, config=config
        )
        return out

    written = SLOT_BYTES if in_fp8 else 2 * (RANK + WIDTH)
    moved = 2 * 2 * HEADS * WIDTH + 2 * (RANK + WIDTH) + written + 4 * WIDTH + 16
    return Problem(replayed(run), num_bytes=TOKENS * moved)


CASES = tuple(
    Case(
        f"rope + cache write {TOKENS}, {name}",
        CONFIGS,
        partial(small, in_fp8=in_fp8),
        partial(full, in_fp8=in_fp8),
        "copy",
        goal=0.8,
    )
    for name, in_fp8 in (("fp8", True), ("bf16", False))
)
