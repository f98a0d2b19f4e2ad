"""Rotary position embedding with YaRN, in both pairings of the family.

MLA rotates neighbours (2i, 2i+1), the lightning indexer rotates halves (i, i + P/2): DeepSeek's first demo used
neighbours for both, which no test below index_topk can see.
Legend: T tokens, P rotary width.
"""

import math

import torch
from torch import Tensor

from inference.config import ModelConfig, Yarn


def inverse_frequencies(config: ModelConfig) -> Tensor:
    """fp32 (P/2,): angle per position of each pair."""
    exponents = torch.arange(0, config.qk_rope_head_dim, 2, dtype=torch.float32) / config.qk_rope_head_dim
    base = 1.0 / config.rope_theta**exponents
    if config.yarn is None:
        return base
    keep = 1.0 - _ramp(config, config.yarn)
    return base / config.yarn.factor * (1 - keep) + base * keep


def _ramp(config: ModelConfig, yarn: Yarn) -> Tensor:
    """0 where a pair turns often within the original context (kept), 1 where it hardly turns (interpolated)."""
    low = max(math.floor(_pair_turning(config, yarn, yarn.beta_fast)), 0)
    high = min(math.ceil(_pair_turning(config, yarn, yarn.beta_slow)), config.qk_rope_head_dim - 1)
    pairs = torch.arange(config.qk_rope_head_dim // 2, dtype=torch.float32)
    return ((pairs - low) / max(high - low, 0.001)).clamp(0, 1)


def _pair_turning(config: ModelConfig, yarn: Yarn, turns: float) -> float:
    """The (fractional) pair that makes `turns` full turns over the original context."""
    length = yarn.original_max_position_embeddings
    return config.qk_rope_head_dim * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(config.rope_theta))


class Rope:
    """Turns positions into one complex factor per pair; made once a step and shared by all layers."""

    def __init__(self, config: ModelConfig, device: str | torch.device) -> None:
        self._frequencies = inverse_frequencies(config).to(device)
        self._magnitude = config.rotary_magnitude

    def factors(self, positions_T: Tensor) -> Tensor:
        """complex64 (T, 1, P/2), to broadcast over heads."""
        angles = positions_T.to(torch.float32)[:, None] * self._frequencies
        return torch.polar(torch.full_like(angles, self._magnitude), angles)[:, None]


def rotate_neighbours(x_THP: Tensor, factors: Tensor) -> Tensor:
    """Pairs (2i, 2i+1), as MLA does. Keeps the type of `x_THP`."""
    pairs = torch.view_as_complex(torch.unflatten(x_THP.to(torch.float32, copy=True), -1, (-1, 2)))
    return torch.view_as_real(pairs.mul_(factors)).flatten(-2).to(x_THP.dtype)


def rotate_halves(x_THP: Tensor, factors: Tensor) -> Tensor:
    """Pairs (i, i + P/2), as the lightning indexer does. fp32 in and out."""
    first, second = x_THP.chunk(2, dim=-1)
    return torch.view_as_real(torch.complex(first, second) * factors).transpose(-1, -2).flatten(-2)
