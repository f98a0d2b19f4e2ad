"""Numbers put in order without sorting: keys to bisect over, and the better of two finds. Helpers for kernels."""

from __future__ import annotations

import triton
import triton.language as tl

LOWEST = tl.constexpr(-0x80000000)  # below the key of any number


@triton.jit
def ordered(x: tl.tensor) -> tl.tensor:
    """int32 that stand in the order of fp32 numbers; both zeros are one."""
    bits = (x + 0.0).to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def unordered(key: tl.tensor) -> tl.tensor:
    bits = key.to(tl.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)


@triton.jit
def is_within(keys: tl.tensor, ids: tl.tensor, key: tl.tensor, last_id: tl.tensor) -> tl.tensor:
    """Above a key, or equal to it and not after a token."""
    return (keys > key) | ((keys == key) & (ids <= last_id))


@triton.jit
def better(best: tl.tensor, best_id: tl.tensor, scores: tl.tensor, ids: tl.tensor) -> tl.tensor:
    """The best of all so far, and of equals the lowest id."""
    highest = tl.max(scores)
    first = tl.min(tl.where(scores == highest, ids, 0x7FFFFFFF))
    first = tl.where(highest == best, tl.minimum(first, best_id), first)
    return tl.maximum(best, highest), tl.where(highest >= best, first, best_id)
