"""Rounding to e4m3 in registers, as inference/quantization.py defines it: helpers for kernels, none of them a kernel.

A scale is a power of two, so that dividing by it is exact; both it and its inverse are made from the bits of the
largest magnitude. The interpreter casts fp32 to e4m3 wrongly: there a number is brought to the grid before the cast.
"""

from __future__ import annotations

import triton
import triton.language as tl

from inference.kernels.launch import INTERPRETED

FLOOR = tl.constexpr(1e-4)  # ACTIVATION_FLOOR: of the published kernels
# launch.BF16 within a kernel; rounding to it is left out where the interpreter could not.
MODEL_TYPE = tl.constexpr(tl.float32 if INTERPRETED else tl.bfloat16)
_INTERPRETED = tl.constexpr(INTERPRETED)


@triton.jit
def ceil_power_of_two(amax: tl.tensor, floor: tl.tensor = FLOOR) -> tl.tensor:
    """fp32: max(amax, floor) / 448 rounded up to a power of two.

    448 is 1.75 * 2^8: a mantissa above 1.75 carries into the exponent. A division would need to be IEEE's to agree.
    """
    bits = tl.maximum(amax, floor).to(tl.int32, bitcast=True)
    return (((bits + 0x1FFFFF) & 0x7F800000) - (8 << 23)).to(tl.float32, bitcast=True)


@triton.jit
def invert_power_of_two(scale: tl.tensor) -> tl.tensor:
    return ((254 << 23) - scale.to(tl.int32, bitcast=True)).to(tl.float32, bitcast=True)


@triton.jit
def to_e4m3(x: tl.tensor) -> tl.tensor:
    """float8e4nv from fp32: to the nearest, ties to even, beyond 448 to 448; NaN stays NaN."""
    if _INTERPRETED:
        x = _to_grid(x)
    return x.to(tl.float8e4nv)


@triton.jit
def round_to_e4m3(x: tl.tensor) -> tl.tensor:
    """fp32 from fp32: the number that `to_e4m3` would hold."""
    if _INTERPRETED:
        x = _to_grid(x)
    else:
        x = x.to(tl.float8e4nv).to(tl.float32)
    return x


@triton.jit
def quantize_group(x: tl.tensor) -> tl.tensor:
    """(..., size) fp32 -> e4m3 of the same shape and fp32 scales (..., 1); the last axis is one group."""
    scale = ceil_power_of_two(tl.max(tl.abs(x), axis=len(x.shape) - 1, keep_dims=True))
    return to_e4m3(x * invert_power_of_two(scale)), scale


@triton.jit
def round_to_model(x: tl.tensor) -> tl.tensor:
    """fp32 from fp32: the number that the model's type would hold. Two at once: a single conversion takes eight times
    as long."""
    if _INTERPRETED:
        return x
    else:
        return tl.inline_asm_elementwise(
            """
            {
            .reg .b32 pair, number;
            cvt.rn.bf16x2.f32 pair, $3, $2;
            shl.b32 number, pair, 16;
            mov.b32 $0, number;
            and.b32 number, pair, 0xffff0000;
            mov.b32 $1, number;
            }
            """,
            "=f,=f,f,f",
            [x],
            dtype=tl.float32,
            is_pure=True,
            pack=2,
        )


@triton.jit
def to_bf16(x: tl.tensor) -> tl.tensor:
    """To the nearest, ties to even; the interpreter's cast cuts off."""
    if _INTERPRETED:
        bits = x.to(tl.float32).to(tl.int32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & ~0xFFFF
        x = tl.where(x == x, bits, 0x7FC00000).to(tl.float32, bitcast=True)
    return x.to(tl.bfloat16)


@triton.jit
def _to_grid(x: tl.tensor) -> tl.tensor:
    """Adding 1.5 * 2^14 drops what lies below 2^-9, the step of subnormals; above 2^-6 three mantissa bits stay."""
    bits = x.to(tl.int32, bitcast=True)
    magnitude = bits & 0x7FFFFFFF
    normal = ((magnitude + 0x7FFFF + ((bits >> 20) & 1)) & ~0xFFFFF).to(tl.float32, bitcast=True)
    small = (tl.abs(x) + 24576.0) - 24576.0
    rounded = tl.where(tl.abs(x) < 0.015625, small, tl.minimum(normal, 448.0)).to(tl.int32, bitcast=True)
    # The interpreter keeps three bits of a NaN: 0x7FF00000 has them set.
    return tl.where(x == x, rounded | (bits ^ magnitude), 0x7FF00000).to(tl.float32, bitcast=True)
