"""Sparse MLA at the sizes of the 671B model: 128 heads, latents of 512 + 64, 2048 chosen tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.latents import (
    BLOCK_SIZE,
    bf16_pages,
    fp8_pages,
    poisoned,
    scattered_tables,
    spread_positions,
)
from inference.kernels.latent_attention_hopper import CONFIG as HOPPER
from inference.kernels.latent_attention_hopper import FP8_CONFIG as HOPPER_FP8
from inference.kernels.launch import BF16, Config
from inference.kernels.sparse_attention import CONFIG, attend_chosen, plain_attend_chosen

HEADS, RANK, ROTARY, CHOSEN = 128, 512, 64, 2048
SCALE = 0.1352337788608801
CONFIGS = (
    CONFIG,
    Config({"BLOCK_N": 32}, num_warps=8, num_stages=3),
    Config({"BLOCK_N": 32}, num_warps=8, num_stages=4),
    Config({"BLOCK_N": 16}, num_warps=8, num_stages=4),
    Config({"BLOCK_N": 16}, num_warps=8, num_stages=3),
)
HOPPER_FP8_CONFIGS = (
    HOPPER_FP8,
    Config({"HOPPER": 1, "AHEAD": 0}, num_warps=4, num_stages=2),
    Config({"HOPPER": 1, "AHEAD": 1}, num_warps=4, num_stages=2),
)
FP8_CONFIGS = (CONFIG, Config({"BLOCK_N": 16}, num_warps=8, num_stages=3))


def _small(
    device: torch.device,
    *,
    heads: int,
    groups: int,
    rank: int,
    rotary: int,
    absorbed: bool,
    fp8: bool,
    parts: int,
    num_chosen: int = 75,
) -> Problem:
    """3 rows of 2 sequences: one row full, one with pads in between, one without a token."""
    num_rows, blocks_each = 3, -(-num_chosen // BLOCK_SIZE)
    pages = (
        fp8_pages(2 * blocks_each * BLOCK_SIZE, rank, rotary, device)
        if fp8
        else bf16_pages(2 * blocks_each * BLOCK_SIZE, groups, rank + rotary, device)
    )
    query = torch.randn(num_rows, heads, (rank if absorbed else 0) + rotary, device=device).to(BF16)
    tables = scattered_tables(2, blocks_each, device)
    sequence = torch.tensor([1, 0, 1], dtype=torch.int32, device=device)
    chosen = torch.stack(
        [torch.randperm(blocks_each * BLOCK_SIZE)[:num_chosen].sort().values for _ in range(num_rows)]
    ).int()
    chosen[1, ::3] = -1
    chosen[1, 40:] = -1
    chosen[2] = -1
    chosen = chosen.to(device)
    scale = (rank + rotary) ** -0.5

    def run(config: Config) -> tuple[Tensor, Tensor]:
        out = poisoned(num_rows, heads, rank, device=device)
        cut = Config({**config.blocks, "PARTS": parts}, config.num_warps, config.num_stages)
        return attend_chosen(
            query, pages, chosen, tables, sequence, rank=rank, softmax_scale=scale, out=out, config=cut
        )

    def plain() -> tuple[Tensor, Tensor]:
        return plain_attend_chosen(query, pages, chosen, tables, sequence, rank=rank, softmax_scale=scale)

    return Problem(run, plain, tolerance=1e-5 if BF16 == torch.float32 else 1e-2)


def _full(device: torch.device, *, rows: int, sequences: int, context_len: int, fp8: bool) -> Problem:
    num_slots = sequences * context_len
    pages = fp8_pages(num_slots, RANK, ROTARY, device) if fp8 else bf16_pages(num_slots, 1, RANK + ROTARY, device)
    query = torch.randn(rows, HEADS, RANK + ROTARY, device=device).to(BF16)
    tables = scattered_tables(sequences, context_len // BLOCK_SIZE, device)
    sequence = torch.arange(rows, device=device, dtype=torch.int32) // (rows // sequences)
    chosen = spread_positions(rows, CHOSEN, context_len, device)
    out = torch.empty(rows, HEADS, RANK, device=device, dtype=BF16)

    def run(config: Config) -> tuple[Tensor, Tensor]:
        return attend_chosen(
            query, pages, chosen, tables, sequence, rank=RANK, softmax_scale=SCALE, out=out, config=config
        )

    row_bytes = pages[0].numel() * pages.element_size()
    return Problem(
        run,
        flops=2.0 * rows * CHOSEN * HEADS * (2 * RANK + ROTARY),
        num_bytes=2 * (query.numel() + out.numel()) + chosen.numel() * 4 + min(num_slots, rows * CHOSEN) * row_bytes,
    )


CASES = (
    Case(
        "sparse attention, prefill, bf16",
        CONFIGS,
        small=lambda device: _small(
            device, heads=128, groups=1, rank=512, rotary=64, absorbed=True, fp8=False, parts=1
        ),
        full=lambda device: _full(device, rows=4096, sequences=1, context_len=131072, fp8=False),
        ceiling="bf16",
        goal=0.6,
    ),
    Case(
        "sparse attention, prefill, bf16, by warpgroups",
        (HOPPER,),
        small=lambda device: _small(
            device, heads=128, groups=1, rank=512, rotary=64, absorbed=True, fp8=False, parts=1, num_chosen=336
        ),
        full=lambda device: _full(device, rows=4096, sequences=1, context_len=131072, fp8=False),
        ceiling="bf16",
        goal=0.6,
    ),
    Case(
        "sparse attention, decode 128, bf16, by warpgroups",
        (HOPPER,),
        small=lambda device: _small(
            device, heads=96, groups=1, rank=512, rotary=64, absorbed=True, fp8=False, parts=2, num_chosen=336
        ),
        full=lambda device: _full(device, rows=128, sequences=128, context_len=16384, fp8=False),
        ceiling="bf16",
        goal=0.5,
    ),
    Case(
        "sparse attention, prefill, FP8 cache",
        FP8_CONFIGS,
        small=lambda device: _small(device, heads=128, groups=1, rank=512, rotary=64, absorbed=True, fp8=True, parts=1),
        full=lambda device: _full(device, rows=4096, sequences=1, context_len=131072, fp8=True),
        ceiling="bf16",
        goal=0.5,
    ),
    Case(
        "sparse attention, decode 128, bf16",
        CONFIGS,
        small=lambda device: _small(device, heads=96, groups=1, rank=512, rotary=64, absorbed=True, fp8=False, parts=2),
        full=lambda device: _full(device, rows=128, sequences=128, context_len=16384, fp8=False),
        ceiling="bf16",
        goal=0.5,
    ),
    Case(
        "sparse attention, decode 128, FP8 cache",
        FP8_CONFIGS,
        small=lambda device: _small(device, heads=96, groups=1, rank=512, rotary=64, absorbed=True, fp8=True, parts=2),
        full=lambda device: _full(device, rows=128, sequences=128, context_len=16384, fp8=True),
        ceiling="bf16",
        goal=0.5,
    ),
    Case(
        "sparse attention, prefill, FP8 cache, by warpgroups",
        HOPPER_FP8_CONFIGS,
        small=lambda device: _small(
            device, heads=128, groups=1, rank=512, rotary=64, absorbed=True, fp8=True, parts=1, num_chosen=336
        ),
        full=lambda device: _full(device, rows=4096, sequences=1, context_len=131072, fp8=True),
        ceiling="bf16",
        goal=0.5,
    ),
    Case(
        "sparse attention, decode 128, FP8 cache, by warpgroups",
        HOPPER_FP8_CONFIGS,
        small=lambda device: _small(
            device, heads=96, groups=1, rank=512, rotary=64, absorbed=True, fp8=True, parts=2, num_chosen=336
        ),
        full=lambda device: _full(device, rows=128, sequences=128, context_len=16384, fp8=True),
        ceiling="bf16",
        goal=0.5,
    ),
    Case(
        "sparse attention, decode 8, FP8 cache, by warpgroups",
        HOPPER_FP8_CONFIGS,
        small=lambda device: _small(
            device, heads=16, groups=1, rank=512, rotary=64, absorbed=True, fp8=True, parts=4, num_chosen=336
        ),
        full=lambda device: _full(device, rows=8, sequences=8, context_len=131072, fp8=True),
        ceiling="bf16",
    ),
    Case(
        "sparse attention, decode 8, FP8 cache",
        FP8_CONFIGS,
        small=lambda device: _small(device, heads=16, groups=1, rank=512, rotary=64, absorbed=True, fp8=True, parts=4),
        full=lambda device: _full(device, rows=8, sequences=8, context_len=131072, fp8=True),
        ceiling="bf16",
    ),
)
