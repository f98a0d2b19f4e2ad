"""Prefill below index_topk at the sizes of the 671B model: 128 heads of 128 + 64, values of 128."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from inference.bench.gpu.case import Case, Problem
from inference.kernels.causal_attention import CONFIG, attend_causally, plain_attend_causally
from inference.kernels.causal_attention_hopper import CONFIG as HOPPER
from inference.kernels.launch import BF16, Config

HEADS, NOPE, ROTARY, VALUE = 128, 128, 64, 128
SCALE = 0.1352337788608801
CONFIGS = (
    CONFIG,
    Config({"BLOCK_M": 128, "BLOCK_C": 64}, num_warps=8, num_stages=2),
    Config({"BLOCK_M": 128, "BLOCK_C": 64}, num_warps=8, num_stages=3),
    Config({"BLOCK_M": 64, "BLOCK_C": 64}, num_warps=4, num_stages=2),
    Config({"BLOCK_M": 64, "BLOCK_C": 64}, num_warps=4, num_stages=3),
)


def _starts(lengths: list[int], device: torch.device) -> Tensor:
    return torch.tensor([0, *lengths], device=device).cumsum(0).to(torch.int32)


def _small(device: torch.device) -> Problem:
    """Sequences with a past, without one, and of one row."""
    rows, keys, heads = [70, 131, 1], [150, 131, 90], 2
    query = torch.randn(sum(rows), heads, NOPE + ROTARY, device=device).to(BF16)
    expanded = torch.randn(sum(keys), heads, NOPE + VALUE, device=device).to(BF16)
    key, value = expanded[..., :NOPE], expanded[..., NOPE:]
    rotary = torch.randn(sum(keys), ROTARY, device=device).to(BF16)
    query_start, key_start = _starts(rows, device), _starts(keys, device)
    scale = (NOPE + ROTARY) ** -0.5

    def run(config: Config) -> Tensor:
        out = torch.full((sum(rows), heads, VALUE), torch.nan, device=device, dtype=BF16)
        return attend_causally(
            query,
            key,
            rotary,
            value,
            query_start,
            key_start,
            max(rows),
            softmax_scale=scale,
            out=out,
            config=config,
        )

    def plain() -> Tensor:
        return plain_attend_causally(query, key, rotary, value, query_start, key_start, softmax_scale=scale)

    return Problem(run, plain, tolerance=1e-5 if BF16 == torch.float32 else 1e-2)


def _full(device: torch.device, *, sequences: int, length: int) -> Problem:
    num_rows = sequences * length
    query = torch.randn(num_rows, HEADS, NOPE + ROTARY, device=device).to(BF16)
    expanded = torch.randn(num_rows, HEADS, NOPE + VALUE, device=device).to(BF16)
    key, value = expanded[..., :NOPE], expanded[..., NOPE:]
    rotary = torch.randn(num_rows, ROTARY, device=device).to(BF16)
    start = _starts([length] * sequences, device)
    out = torch.empty(num_rows, HEADS, VALUE, device=device, dtype=BF16)

    def run(config: Config) -> Tensor:
        return attend_causally(
            query, key, rotary, value, start, start, length, softmax_scale=SCALE, out=out, config=config
        )

    whole_key = torch.cat((key, rotary[:, None].expand(-1, HEADS, -1)), -1)
    queries, keys, values = (
        x.view(sequences, length, *x.shape[1:]).transpose(1, 2) for x in (query, whole_key, value.contiguous())
    )

    def torch_attention() -> Tensor:
        with sdpa_kernel([SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION], set_priority=True):
            return F.scaled_dot_product_attention(queries, keys, values, is_causal=True, scale=SCALE)

    return Problem(
        run,
        flops=1.0 * sequences * length * (length + 1) * HEADS * (NOPE + ROTARY + VALUE),
        num_bytes=2 * (query.numel() + expanded.numel() + rotary.numel() + out.numel()),
        rivals={"torch": torch_attention},
    )


CASES = (
    Case(
        "causal attention, prefill 4 x 2048",
        CONFIGS,
        small=_small,
        full=lambda device: _full(device, sequences=4, length=2048),
        ceiling="bf16",
        goal=0.5,
    ),
    Case(
        "causal attention, prefill 4 x 2048, by warpgroups",
        (HOPPER, Config({"HOPPER": 1, "REGISTERS": 200}, num_warps=4, num_stages=2)),
        small=_small,
        full=lambda device: _full(device, sequences=4, length=2048),
        ceiling="bf16",
        goal=0.7,
    ),
)
