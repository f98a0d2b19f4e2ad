"""Gumbel noise that is a pure function of (seed, choice, position, token id), as inference/sampler.py defines it.

Helpers for kernels, none of them a kernel.
"""

from __future__ import annotations

import triton
import triton.language as tl

_GOLDEN = tl.constexpr(0x9E3779B97F4A7C15)  # splitmix64's constants
_MIX1 = tl.constexpr(0xBF58476D1CE4E5B9)
_MIX2 = tl.constexpr(0x94D049BB133111EB)


@triton.jit
def noise_key(seed: tl.tensor, choice: tl.tensor, position: tl.tensor) -> tl.tensor:
    """uint64 from three int64."""
    key = _mix(seed.to(tl.uint64) + _GOLDEN)
    key = _mix((key ^ choice.to(tl.uint64)) + _GOLDEN)
    return _mix((key ^ position.to(tl.uint64)) + _GOLDEN)


@triton.jit
def uniform_bits(key: tl.tensor, token_ids: tl.tensor) -> tl.tensor:
    """uint64 below 2^53: token t's number is (bits + 0.5) / 2^53."""
    return _mix(token_ids.to(tl.uint64) * _GOLDEN + key) >> 11


@triton.jit
def gumbel(bits: tl.tensor) -> tl.tensor:
    """fp64."""
    return -tl.log(-tl.log((bits.to(tl.float64) + 0.5) * 1.1102230246251565e-16))


@triton.jit
def rough_gumbel(bits: tl.tensor) -> tl.tensor:
    """fp32, within 2^-14 of `gumbel`.

    Numbers above a half are taken by their distance from 1, which fp32 holds to seven digits however small it is:
    -log(1 - x) is x + x^2/2 + ... there. Up there fp64 has no place for the 0.5 and rounds it to even.
    """
    is_large = bits >= 0x10000000000000
    x = tl.where(is_large, 0x20000000000000 - (bits + (bits & 1)), bits)
    high, low = (x >> 21).to(tl.int64).to(tl.float32), (x & 0x1FFFFF).to(tl.int32).to(tl.float32)
    x = high * 2.3283064365386963e-10 + (low + tl.where(is_large, 0.0, 0.5)) * 1.1102230246251565e-16
    series = x * (1.0 + x * (0.5 + x * (0.33333334 + x * 0.25)))
    exponential = tl.where(is_large & (x < 0.015625), series, -tl.log(tl.where(is_large, 1.0 - x, x)))
    return -tl.log(exponential)


@triton.jit
def is_hopeless(bits: tl.tensor, x: tl.tensor, temperature: tl.tensor, bound: tl.tensor) -> tl.tensor:
    """Whether x / temperature + noise stays below `bound`, but for the rounding of fp32. Takes one exponential.

    With a token's number u, noise reaches b - x where -log(u) <= e^(x - b), and 1 - u is no more than -log(u). The
    leading 23 bits of 1 - u, put behind a one, are a float from 1 to 2.
    """
    distance = (0x1FFFFFFFFFFFFF - bits) >> 30
    distance = (distance.to(tl.int32) | 0x3F800000).to(tl.float32, bitcast=True)
    return distance > 1.0 + tl.exp2((x * (1.0 / temperature) - bound) * 1.4426950408889634)


@triton.jit
def _mix(bits: tl.tensor) -> tl.tensor:
    bits = (bits ^ (bits >> 30)) * _MIX1
    bits = (bits ^ (bits >> 27)) * _MIX2
    return bits ^ (bits >> 31)
