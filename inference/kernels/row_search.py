"""A row of logits searched whole, where more tokens may be drawn than a list of candidates can hold.

Helpers for sample.py. Rows are that flat at high temperatures alone. Each reading of a row settles two bits of a key.
Legend: x logits, keys in their order (order.py), weights e^((x - peak) / temperature).
"""

from __future__ import annotations

import triton
import triton.language as tl

from inference.kernels.noise import gumbel, uniform_bits
from inference.kernels.order import LOWEST, better, is_within, ordered, unordered


@triton.jit
def draw_from_row(
    logits: tl.tensor,
    count: tl.tensor,
    temperature: tl.tensor,
    peak: tl.tensor,
    top_k: tl.tensor,
    top_p: tl.tensor,
    limit: tl.tensor,
    noise: tl.tensor,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """A token id. `limit` is what top_p alone keeps of the weight."""
    key_k, id_k = tl.full((), LOWEST, tl.int64), tl.full((), -1, tl.int32)
    if top_k > 0:
        key_k = _end(logits, count, temperature, peak, top_k.to(tl.float64), LOWEST, -1, False, BLOCK)
        above = _measure(logits, count, temperature, peak, key_k, key_k, key_k, LOWEST, -1, False, BLOCK)[0]
        id_k = _last_of_tied(logits, count, key_k, top_k - above.to(tl.int32), LOWEST, -1, BLOCK)
        low = tl.full((), LOWEST, tl.int64)
        whole = _measure(logits, count, temperature, peak, low, low, low, key_k, id_k, True, BLOCK)[0]
        limit = tl.where(top_p < 1, top_p, 2.0) * whole
    key_p, id_p = tl.full((), LOWEST, tl.int64), tl.full((), -1, tl.int32)
    if top_p < 1:
        limit = tl.maximum(limit, 1e-30)  # the best is always kept
        key_p = _end(logits, count, temperature, peak, limit, key_k, id_k, True, BLOCK)
        above = _measure(logits, count, temperature, peak, key_p, key_p, key_p, key_k, id_k, True, BLOCK)[0]
        missing = (limit - above) / _weights(unordered(key_p), peak, temperature).to(tl.float64)
        kept = tl.where(key_p > LOWEST, tl.ceil(tl.minimum(missing, 1073741824.0)), 0.0).to(tl.int32)
        id_p = _last_of_tied(logits, count, key_p, kept, key_k, id_k, BLOCK)
    best, token = tl.full((), float("-inf"), tl.float64), tl.full((), 0x7FFFFFFF, tl.int32)
    for start in tl.range(0, count, BLOCK // 4):
        x, keys, ids = _block(logits, start, count, BLOCK // 4)
        is_kept = (keys > LOWEST) & is_within(keys, ids, key_k, id_k) & is_within(keys, ids, key_p, id_p)
        scores = tl.math.div_rn(x, temperature).to(tl.float64) + gumbel(uniform_bits(noise, ids))
        best, token = better(best, token, tl.where(is_kept, scores, float("-inf")), ids)
    return token.to(tl.int64)


@triton.jit
def _end(
    logits: tl.tensor,
    count: tl.tensor,
    temperature: tl.tensor,
    peak: tl.tensor,
    limit: tl.tensor,
    key_k: tl.tensor,
    id_k: tl.tensor,
    WEIGHED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """The lowest key above which less than `limit` lies, of tokens or of their weight; int64."""
    low, high = tl.full((), LOWEST, tl.int64), ordered(peak).to(tl.int64)
    while low < high:
        quarter, half, most = low + ((high - low) >> 2), low + ((high - low) >> 1), low + (3 * (high - low) >> 2)
        above = _measure(logits, count, temperature, peak, quarter, half, most, key_k, id_k, WEIGHED, BLOCK)
        fits_quarter, fits_half, fits_most = above[0] < limit, above[1] < limit, above[2] < limit
        low = tl.where(fits_quarter, low, tl.where(fits_half, quarter + 1, tl.where(fits_most, half + 1, most + 1)))
        high = tl.where(fits_quarter, quarter, tl.where(fits_half, half, tl.where(fits_most, most, high)))
    return low


@triton.jit
def _measure(
    logits: tl.tensor,
    count: tl.tensor,
    temperature: tl.tensor,
    peak: tl.tensor,
    first: tl.tensor,
    second: tl.tensor,
    third: tl.tensor,
    key_k: tl.tensor,
    id_k: tl.tensor,
    WEIGHED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """How many of the best k lie above each of three keys, or what they weigh; fp64."""
    zero = tl.full((), 0.0, tl.float64)
    above_first, above_second, above_third = zero, zero, zero
    for start in tl.range(0, count, BLOCK):
        x, keys, ids = _block(logits, start, count, BLOCK)
        if WEIGHED:
            weights = tl.where(is_within(keys, ids, key_k, id_k), _weights(x, peak, temperature), 0.0)
        else:
            weights = tl.where(is_within(keys, ids, key_k, id_k), 1.0, 0.0)
        above_first += tl.sum(tl.where(keys > first, weights, 0.0)).to(tl.float64)
        above_second += tl.sum(tl.where(keys > second, weights, 0.0)).to(tl.float64)
        above_third += tl.sum(tl.where(keys > third, weights, 0.0)).to(tl.float64)
    return above_first, above_second, above_third


@triton.jit
def _weights(x: tl.tensor, peak: tl.tensor, temperature: tl.tensor) -> tl.tensor:
    return tl.exp(tl.math.div_rn(x, temperature) - tl.math.div_rn(peak, temperature))


@triton.jit
def _last_of_tied(
    logits: tl.tensor,
    count: tl.tensor,
    key: tl.tensor,
    wanted: tl.tensor,
    key_k: tl.tensor,
    id_k: tl.tensor,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """The token id up to which `wanted` of those that have a key stand; the largest where all may."""
    last, high = tl.full((), 0x7FFFFFFF, tl.int32), tl.full((), 0x7FFFFFFF, tl.int32)
    if _count_tied(logits, count, key, last, key_k, id_k, BLOCK) > wanted:
        last = tl.full((), 0, tl.int32)
    while last < high:
        middle = last + ((high - last) >> 1)
        enough = _count_tied(logits, count, key, middle, key_k, id_k, BLOCK) >= wanted
        last, high = tl.where(enough, last, middle + 1), tl.where(enough, middle, high)
    return last


@triton.jit
def _count_tied(
    logits: tl.tensor,
    count: tl.tensor,
    key: tl.tensor,
    last: tl.tensor,
    key_k: tl.tensor,
    id_k: tl.tensor,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    num = tl.full((), 0, tl.int32)
    for start in tl.range(0, count, BLOCK):
        _, keys, ids = _block(logits, start, count, BLOCK)
        num += tl.sum(((keys == key) & (ids <= last) & is_within(keys, ids, key_k, id_k)).to(tl.int32))
    return num


@triton.jit
def _block(logits: tl.tensor, start: tl.tensor, count: tl.tensor, BLOCK: tl.constexpr) -> tl.tensor:
    """Logits, their keys (the lowest beyond the end) and token ids."""
    ids = start + tl.arange(0, BLOCK)
    x = tl.load(logits + ids, mask=ids < count, other=0.0)
    return x, tl.where(ids < count, ordered(x), LOWEST), ids
