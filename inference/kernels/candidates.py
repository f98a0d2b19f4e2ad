"""The few tokens of a row that top_k or top_p may keep: listed, then drawn from in registers. Helpers for sample.py.

At least k cells hold a logit as large as the k-th largest cell's best: what lies below it is none of the best k.
Legend: x logits, keys in their order (order.py), weights e^((x - peak) / temperature).
"""

from __future__ import annotations

import triton
import triton.language as tl

from inference.kernels.noise import gumbel, uniform_bits
from inference.kernels.order import LOWEST, better, is_within, ordered

TOO_FLAT = tl.constexpr(-2)  # in place of a token


@triton.jit
def list_candidates(
    logits: tl.tensor,
    peaks: tl.tensor,
    chosen_cells: tl.tensor,
    listed: tl.tensor,
    listed_ids: tl.tensor,
    top_k: tl.tensor,
    VOCABULARY: tl.constexpr,
    NUM_CELLS: tl.constexpr,
    WIDEST: tl.constexpr,
    NUCLEUS: tl.constexpr,
) -> tl.tensor:
    """Writes the tokens that are no less likely than the best of the k-th cell, k being top_k or else NUCLEUS.

    Returns how many; 0 where they would not fit, or there are fewer cells than top_k.
    """
    cells = tl.arange(0, triton.next_power_of_2(NUM_CELLS))
    keys = ordered(tl.load(peaks + cells, mask=cells < NUM_CELLS, other=float("-inf")))
    keys = tl.where(cells < NUM_CELLS, keys, LOWEST)
    bound = _kth_best(keys, tl.where(top_k > 0, top_k, tl.minimum(NUCLEUS, NUM_CELLS)))
    is_chosen = keys >= bound
    num_chosen = tl.where(top_k <= NUM_CELLS, tl.sum(is_chosen.to(tl.int32)), 0)
    chosen_places = tl.cumsum(is_chosen.to(tl.int32), 0) - 1
    tl.store(chosen_cells + chosen_places, cells, mask=is_chosen & (cells < NUM_CELLS))
    tl.debug_barrier()  # what other threads have written is read
    count = tl.full((), 0, tl.int32)
    for start in tl.range(0, num_chosen, 16):
        places = start + tl.arange(0, 2048) // 128
        cell = tl.load(chosen_cells + places, mask=places < num_chosen, other=NUM_CELLS)
        ids = cell * 128 + tl.arange(0, 2048) % 128
        x = tl.load(logits + ids, mask=ids < VOCABULARY, other=0.0)
        is_candidate = (ids < VOCABULARY) & (ordered(x) >= bound)
        targets = count + tl.cumsum(is_candidate.to(tl.int32), 0) - 1
        tl.store(listed + targets, x, mask=is_candidate & (targets < WIDEST))
        tl.store(listed_ids + targets, ids, mask=is_candidate & (targets < WIDEST))
        count += tl.sum(is_candidate.to(tl.int32))
    tl.debug_barrier()
    return tl.where(count <= WIDEST, count, 0)


@triton.jit
def draw_candidate(
    listed: tl.tensor,
    listed_ids: tl.tensor,
    count: tl.tensor,
    temperature: tl.tensor,
    peak: tl.tensor,
    top_k: tl.tensor,
    top_p: tl.tensor,
    limit: tl.tensor,
    noise: tl.tensor,
    WIDEST: tl.constexpr,
) -> tl.tensor:
    """A token id; TOO_FLAT where the list is empty or, of top_p alone, holds less than `limit` of the weight."""
    places = tl.arange(0, WIDEST)
    is_listed = places < count
    x = tl.load(listed + places, mask=is_listed, other=0.0)
    ids = tl.load(listed_ids + places, mask=is_listed, other=0x7FFFFFFF)
    keys = tl.where(is_listed, ordered(x), LOWEST)
    x = tl.math.div_rn(x, temperature)
    weights = tl.where(is_listed, tl.exp(x - tl.math.div_rn(peak, temperature)), 0.0).to(tl.float64)
    is_enough = (count > 0) & ((top_k > 0) | (tl.sum(weights) >= limit))
    if (top_k > 0) & (top_k < count):
        key = _kth_best(keys, top_k)
        surplus = tl.sum((keys >= key).to(tl.int32)) - top_k
        keys = _without(keys, ids, key, surplus)
        weights = tl.where(keys > LOWEST, weights, 0.0)
    if top_p < 1:
        limit = tl.maximum(tl.where(top_k > 0, top_p * tl.sum(weights), limit), 1e-30)  # the best is always kept
        key = _nucleus_end(keys, weights, limit)
        tied = tl.sum((keys == key).to(tl.int32))
        missing = limit - tl.sum(tl.where(keys > key, weights, 0.0))
        each = tl.max(tl.where(keys == key, weights, 0.0))
        kept = tl.ceil(tl.minimum(missing / each, 1073741824.0)).to(tl.int32)
        keys = _without(keys, ids, key, tl.maximum(tied - kept, 0))
    scores = tl.where(keys > LOWEST, x.to(tl.float64) + gumbel(uniform_bits(noise, ids)), float("-inf"))
    _, token = better(tl.full((), float("-inf"), tl.float64), tl.full((), 0x7FFFFFFF, tl.int32), scores, ids)
    return tl.where(is_enough, token, TOO_FLAT).to(tl.int64)


@triton.jit
def _kth_best(keys: tl.tensor, k: tl.tensor) -> tl.tensor:
    """The largest key that `k` keys or more reach, int64."""
    low, high = tl.full((), LOWEST, tl.int64), tl.max(keys).to(tl.int64)
    while low < high:
        middle = (low + high + 1) >> 1
        enough = tl.sum((keys >= middle.to(tl.int32)).to(tl.int32)) >= k
        low, high = tl.where(enough, middle, low), tl.where(enough, high, middle - 1)
    return low.to(tl.int32)


@triton.jit
def _nucleus_end(keys: tl.tensor, weights: tl.tensor, limit: tl.tensor) -> tl.tensor:
    """The lowest key above which less than `limit` lies."""
    low, high = tl.full((), LOWEST, tl.int64), tl.max(keys).to(tl.int64)
    while low < high:
        middle = (low + high) >> 1
        fits = tl.sum(tl.where(keys > middle.to(tl.int32), weights, 0.0)) < limit
        low, high = tl.where(fits, low, middle + 1), tl.where(fits, middle, high)
    return low.to(tl.int32)


@triton.jit
def _without(keys: tl.tensor, ids: tl.tensor, key: tl.tensor, surplus: tl.tensor) -> tl.tensor:
    """What lies below `key` is hidden, and of those equal to it the `surplus` with the highest token ids."""
    last, high = tl.full((), 0x7FFFFFFF, tl.int32), tl.full((), 0x7FFFFFFF, tl.int32)
    if surplus > 0:
        wanted = tl.sum((keys == key).to(tl.int32)) - surplus
        last = tl.full((), 0, tl.int32)
        while last < high:
            middle = last + ((high - last) >> 1)
            enough = tl.sum(((keys == key) & (ids <= middle)).to(tl.int32)) >= wanted
            last, high = tl.where(enough, last, middle + 1), tl.where(enough, middle, high)
    return tl.where(is_within(keys, ids, key, last), keys, LOWEST)
