"""Dense absorbed decode at the sizes of the 671B model: what sparse decode is compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.latents import BLOCK_SIZE, bf16_pages, fp8_pages, poisoned, scattered_tables
from inference.kernels.dense_attention import CONFIG, attend_pages, plain_attend_pages
from inference.kernels.latent_attention_hopper import CONFIG as HOPPER
from inference.kernels.latent_attention_hopper import FP8_CONFIG as HOPPER_FP8
from inference.kernels.launch import BF16, Config

HEADS, RANK, ROTARY = 128, 512, 64
SCALE = 0.1352337788608801
CONFIGS = (
    CONFIG,
    Config({"BLOCK_N": 16}, num_warps=8, num_stages=4),
    Config({"BLOCK_N": 16}, num_warps=8, num_stages=3),
)
HOPPER_FP8_CONFIGS = (
    HOPPER_FP8,
    Config({"HOPPER": 1, "AHEAD": 0}, num_warps=4, num_stages=2),
    Config({"HOPPER": 1, "AHEAD": 1}, num_warps=4, num_stages=2),
)
FP8_CONFIGS = (CONFIG, Config({"BLOCK_N": 16}, num_warps=8, num_stages=3))


def _small(device: torch.device, *, heads: int, groups: int, rank: int, absorbed: bool, fp8: bool) -> Problem:
    """4 rows of 2 sequences in 3 parts: two neighbouring positions, the first token alone, and a row without any."""
    num_rows, rotary, blocks_each = 4, 64, 3
    num_slots = 2 * blocks_each * BLOCK_SIZE
    pages = fp8_pages(num_slots, rank, rotary, device) if fp8 else bf16_pages(num_slots, groups, rank + rotary, device)
    query = torch.randn(num_rows, heads, (rank if absorbed else 0) + rotary, device=device).to(BF16)
    tables = scattered_tables(2, blocks_each, device)
    sequence = torch.tensor([1, 1, 0, 0], dtype=torch.int32, device=device)
    num_visible = torch.tensor([149, 150, 1, 0], dtype=torch.int32, device=device)
    scale = (rank + rotary) ** -0.5

    def run(config: Config) -> tuple[Tensor, Tensor]:
        out = poisoned(num_rows, heads, rank, device=device)
        cut = Config({**config.blocks, "PARTS": 3}, config.num_warps, config.num_stages)
        return attend_pages(
            query, pages, num_visible, tables, sequence, rank=rank, softmax_scale=scale, out=out, config=cut
        )

    def plain() -> tuple[Tensor, Tensor]:
        return plain_attend_pages(query, pages, num_visible, tables, sequence, rank=rank, softmax_scale=scale)

    return Problem(run, plain, tolerance=1e-5 if BF16 == torch.float32 else 1e-2)


def _full(device: torch.device, *, rows: int, context_len: int, fp8: bool) -> Problem:
    num_slots = rows * context_len
    pages = fp8_pages(num_slots, RANK, ROTARY, device) if fp8 else bf16_pages(num_slots, 1, RANK + ROTARY, device)
    query = torch.randn(rows, HEADS, RANK + ROTARY, device=device).to(BF16)
    tables = scattered_tables(rows, context_len // BLOCK_SIZE, device)
    sequence = torch.arange(rows, device=device, dtype=torch.int32)
    num_visible = torch.full((rows,), context_len, device=device, dtype=torch.int32)
    out = torch.empty(rows, HEADS, RANK, device=device, dtype=BF16)

    def run(config: Config) -> tuple[Tensor, Tensor]:
        return attend_pages(
            query, pages, num_visible, tables, sequence, rank=RANK, softmax_scale=SCALE, out=out, config=config
        )

    return Problem(
        run,
        flops=2.0 * num_slots * HEADS * (2 * RANK + ROTARY),
        num_bytes=2 * (query.numel() + out.numel()) + pages.numel() * pages.element_size(),
    )


CASES = (
    Case(
        "dense attention, decode 32 x 16K, bf16",
        CONFIGS,
        small=lambda device: _small(device, heads=128, groups=1, rank=512, absorbed=True, fp8=False),
        full=lambda device: _full(device, rows=32, context_len=16384, fp8=False),
        ceiling="bf16",
    ),
    Case(
        "dense attention, decode 32 x 16K, bf16, by warpgroups",
        (HOPPER,),
        small=lambda device: _small(device, heads=128, groups=1, rank=512, absorbed=True, fp8=False),
        full=lambda device: _full(device, rows=32, context_len=16384, fp8=False),
        ceiling="bf16",
    ),
    Case(
        "dense attention, decode 32 x 16K, FP8 cache",
        FP8_CONFIGS,
        small=lambda device: _small(device, heads=128, groups=1, rank=512, absorbed=True, fp8=True),
        full=lambda device: _full(device, rows=32, context_len=16384, fp8=True),
        ceiling="bf16",
    ),
    Case(
        "dense attention, decode 32 x 16K, FP8 cache, by warpgroups",
        HOPPER_FP8_CONFIGS,
        small=lambda device: _small(device, heads=128, groups=1, rank=512, absorbed=True, fp8=True),
        full=lambda device: _full(device, rows=32, context_len=16384, fp8=True),
        ceiling="bf16",
    ),
    Case(
        "dense attention, decode 8 x 2K, FP8 cache",
        FP8_CONFIGS,
        small=lambda device: _small(device, heads=16, groups=1, rank=128, absorbed=True, fp8=True),
        full=lambda device: _full(device, rows=8, context_len=2048, fp8=True),
        ceiling="bf16",
    ),
)
