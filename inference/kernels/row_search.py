"""A row of logits searched whole, where more tokens may be drawn than a list of candidates can hold.

Helpers for sample.py. Each step of a bisection reads the row once; rows are that flat at high temperatures alone.
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
        high = ordered(peak).to(tl.int64)
        while key_k < high:
            middle = (key_k + high + 1) >> 1
            enough = _measure(logits, count, temperature, peak, middle - 1, LOWEST, -1, BLOCK)[0] >= top_k
            key_k, high = tl.where(enough, middle, key_k), tl.where(enough, high, middle - 1)
        above, _ = _measure(logits, count, temperature, peak, key_k, LOWEST, -1, BLOCK)
        id_k = _last_of_tied(logits, count, key_k, top_k - above, LOWEST, -1, BLOCK)
        whole = _measure(logits, count, temperature, peak, LOWEST, key_k, id_k, BLOCK)[1]
        limit = tl.where(top_p < 1, top_p, 2.0) * whole
    key_p, id_p = tl.full((), LOWEST, tl.int64), tl.full((), -1, tl.int32)
    if top_p < 1:
        limit = tl.maximum(limit, 1e-30)  # the best is always kept
        high = ordered(peak).to(tl.int64)
        while key_p < high:
            middle = (key_p + high) >> 1
            fits = _measure(logits, count, temperature, peak, middle, key_k, id_k, BLOCK)[1] < limit
            key_p, high = tl.where(fits, key_p, middle + 1), tl.where(fits, middle, high)
        missing = limit - _measure(logits, count, temperature, peak, key_p, key_k, id_k, BLOCK)[1]
        each = _weights(unordered(key_p), peak, temperature)
        kept = tl.where(key_p > LOWEST, tl.ceil(tl.minimum(missing / each, 1073741824.0)), 0.0).to(tl.int32)
        id_p = _last_of_tied(logits, count, key_p, kept, key_k, id_k, BLOCK)
    best, token = tl.full((), float("-inf"), tl.float64), tl.full((), 0x7FFFFFFF, tl.int32)
    for start in tl.range(0, count, BLOCK):
        x, keys, ids = _block(logits, start, count, BLOCK)
        is_kept = (keys > LOWEST) & is_within(keys, ids, key_k, id_k) & is_within(keys, ids, key_p, id_p)
        scores = tl.math.div_rn(x, temperature).to(tl.float64) + gumbel(uniform_bits(noise, ids))
        best, token = better(best, token, tl.where(is_kept, scores, float("-inf")), ids)
    return token.to(tl.int64)


@triton.jit
def _measure(
    logits: tl.tensor,
    count: tl.tensor,
    temperature: tl.tensor,
    peak: tl.tensor,
    key: tl.tensor,
    key_k: tl.tensor,
    id_k: tl.tensor,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """How many of the best k lie above a key, and what they weigh."""
    num, weight = tl.full((), 0, tl.int32), tl.full((), 0.0, tl.float64)
    for start in tl.range(0, count, BLOCK):
        x, keys, ids = _block(logits, start, count, BLOCK)
        is_above = (keys > key) & is_within(keys, ids, key_k, id_k)
        num += tl.sum(is_above.to(tl.int32))
        weight += tl.sum(tl.where(is_above, _weights(x, peak, temperature), 0.0))
    return num, weight


@triton.jit
def _weights(x: tl.tensor, peak: tl.tensor, temperature: tl.tensor) -> tl.tensor:
    return tl.exp(tl.math.div_rn(x, temperature) - tl.math.div_rn(peak, temperature)).to(tl.float64)


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
