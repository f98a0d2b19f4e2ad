"""FP8 products of a layer: attention's output, the largest of them, for a prefill and for a decode step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.routed import activations, poison, small_activations, small_weights, weights
from inference.kernels.fp8_linear import FEW, MANY, SOME, fp8_linear, plain_fp8_linear
from inference.kernels.launch import BF16, Config

SMALL_IN, SMALL_OUT = 1360, 200  # both end within a block
OUTPUT, QUERY = (7168, 16384), (1536, 7168)  # rows out, columns in: o_proj and q_a_proj


def small(tokens: int, device: torch.device) -> Problem:
    x = small_activations(tokens, SMALL_IN, device)
    weight, weight_scale = (tensor[0] for tensor in small_weights(1, SMALL_OUT, SMALL_IN, device))

    def run(config: Config) -> Tensor:
        out = poison((tokens, SMALL_OUT), BF16, device)
        return fp8_linear(*x, weight, weight_scale, out=out, config=config)

    return Problem(run, plain=lambda: plain_fp8_linear(*x, weight, weight_scale), tolerance=4e-3)


def full(tokens: int, shape: tuple[int, int], device: torch.device) -> Problem:
    num_out, num_in = shape
    x, x_scale = activations(tokens, num_in, device)
    weight, weight_scale = (tensor[0] for tensor in weights(1, num_out, num_in, device))
    one = torch.ones((), device=device)

    def scaled_once() -> Tensor:
        scales = {"scale_a": one, "scale_b": one}
        return torch._scaled_mm(x, weight.T, **scales, out_dtype=torch.bfloat16, use_fast_accum=True)

    counters = torch.zeros(num_out, dtype=torch.int32, device=device)
    out = torch.empty(tokens, num_out, dtype=BF16, device=device)

    def run(config: Config) -> Tensor:
        return fp8_linear(x, x_scale, weight, weight_scale, out=out, counters=counters, config=config)

    rivals: dict[str, Callable[[], object]] = {}
    if tokens >= 16:
        rivals["cuBLAS, one scale, no promotion"] = scaled_once
    return Problem(
        run,
        flops=2 * tokens * num_out * num_in,
        num_bytes=weight.numel() + x.numel() + 2 * tokens * num_out,
        rivals=rivals,
    )


CASES = (
    Case("FP8 o_proj, 4096 tokens", MANY, partial(small, 70), partial(full, 4096, OUTPUT), ceiling="fp8", goal=0.6),
    Case("FP8 o_proj, batch 8", FEW, partial(small, 21), partial(full, 8, OUTPUT), ceiling="copy", goal=0.8),
    Case("FP8 o_proj, batch 128", SOME, partial(small, 140), partial(full, 128, OUTPUT), ceiling="copy"),
    Case("FP8 q_a_proj, batch 128", SOME, partial(small, 140), partial(full, 128, QUERY), ceiling="copy"),
    Case("FP8 q_a_proj, batch 8", FEW, partial(small, 21), partial(full, 8, QUERY), ceiling="copy"),
)
