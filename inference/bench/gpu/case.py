"""A kernel to be checked and timed: problems it solves, ways to launch it, and what it is measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from inference.kernels.launch import Config

Ceiling = Literal["bf16", "fp8", "copy"]  # what the card itself reached in the same run


@dataclass(frozen=True, slots=True)
class Problem:
    """Inputs that lie ready, and what is done with them."""

    run: Callable[[Config], Tensor | tuple[Tensor, ...]]  # poisons its outputs where `plain` is given, then launches
    # What must come out; None where the problem is too large to be computed plainly.
    plain: Callable[[], Tensor | tuple[Tensor, ...]] | None = None
    tolerance: float = 0.0  # largest norm(out - plain) / norm(plain); 0: equal, bit for bit
    flops: float = 0.0
    num_bytes: float = 0.0  # the fewest that must move: each input read once, each output written once
    # What else solves it, as the fastest kernel that PyTorch has.
    rivals: Mapping[str, Callable[[], object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    configs: Sequence[Config]  # the first is the one that is served
    small: Callable[[torch.device], Problem]  # odd sizes; fp32 for bfloat16 where launch.INTERPRETED
    full: Callable[[torch.device], Problem]
    ceiling: Ceiling
    goal: float | None = None  # share of that ceiling
    goal_over: Mapping[str, float] = field(default_factory=dict)  # how many times as fast as a rival


def relative_error(out: Tensor, expected: Tensor) -> float:
    """norm(out - expected) / norm(expected) in fp64; infinite where NaN or infinity stands in one alone."""
    if out.shape != expected.shape:
        raise ValueError(f"shape {tuple(out.shape)}: {tuple(expected.shape)} expected")
    out, expected = out.double(), expected.double()
    odd_out, odd_expected = ~out.isfinite(), ~expected.isfinite()
    same = (out[odd_out].nan_to_num(7.0) == expected[odd_out].nan_to_num(7.0)).all()
    if not bool((odd_out == odd_expected).all()) or not bool(same):
        return float("inf")
    out, expected = out.masked_fill(odd_out, 0), expected.masked_fill(odd_expected, 0)
    norm = float(torch.linalg.vector_norm(expected))
    difference = float(torch.linalg.vector_norm(out - expected))
    return difference if norm == 0 else difference / norm


def worst_error(problem: Problem, config: Config) -> float:
    """Of all outputs. ValueError where the problem has no plain form."""
    if problem.plain is None:
        raise ValueError("this problem has no plain form to compare with")
    outs, expected = problem.run(config), problem.plain()
    outs = outs if isinstance(outs, tuple) else (outs,)
    expected = expected if isinstance(expected, tuple) else (expected,)
    return max(relative_error(out, wanted) for out, wanted in zip(outs, expected, strict=True))
