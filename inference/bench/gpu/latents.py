"""Paged latents for problems of attention: random pages, tables that scatter them, chosen positions."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.kernels.latent_attention import FP8_GROUP
from inference.kernels.launch import BF16

BLOCK_SIZE = 64


def bf16_pages(num_slots: int, groups: int, width: int, device: torch.device) -> Tensor:
    return torch.randn(num_slots, groups, width, device=device, dtype=torch.float32).to(BF16)


def fp8_pages(num_slots: int, rank: int, rotary: int, device: torch.device) -> Tensor:
    """A million slots at most are random, then they repeat: their values do not matter to the time."""
    fresh = min(num_slots, 2**20)
    values = torch.randint(0, 256, (fresh, rank), device=device, dtype=torch.uint8)
    values[values & 127 == 127] = 0  # NaN of e4m3
    values &= 0xBF  # of magnitude 2 at most
    scale = torch.exp2(torch.randint(-2, 2, (fresh, rank // FP8_GROUP), device=device).float())
    rotary_NP = torch.randn(fresh, rotary, device=device).to(torch.bfloat16)
    rows = torch.cat((values, scale.view(torch.uint8), rotary_NP.view(torch.uint8)), 1)
    return rows.repeat(-(-num_slots // fresh), 1)[:num_slots]


def scattered_tables(num_sequences: int, blocks_each: int, device: torch.device) -> Tensor:
    """int32 (S, B): every block of the cache once."""
    order = torch.randperm(num_sequences * blocks_each, device=device)
    return order.to(torch.int32).view(num_sequences, blocks_each)


def spread_positions(num_rows: int, num_chosen: int, context_len: int, device: torch.device) -> Tensor:
    """int32 (T, K), ascending: one of each of K equal stretches of the context."""
    stretch = context_len // num_chosen
    offsets_TK = torch.randint(0, stretch, (num_rows, num_chosen), device=device)
    return (offsets_TK + stretch * torch.arange(num_chosen, device=device)).to(torch.int32)


def poisoned(*shape: int, device: torch.device) -> Tensor:
    return torch.full(shape, torch.nan, device=device, dtype=BF16)
