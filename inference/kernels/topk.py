"""The best k scores of each row: exact, ties to the lowest position, NaN and -inf never. One pass over the scores.

A row gives a bound first: a sample's score so low that k of the row are surely, or nearly so, at least as good. Each
warp goes over its own run of columns and stores what reaches the bound side by side in its own segment; warps do not
wait for one another. The segments together are in order; the k best of them are found by bisection over the bits of
their scores. Where too many reach the bound the row is taken in spans, each of which raises it; where too few, again
without it: the sample decides how long a row takes, never what comes out.
Many rows take a program each. Few rows (decode) are cut into pieces that collect side by side; a second kernel chooses.
Legend: T rows, C columns, K chosen; in kernels L lanes (threads of a warp), W warps, F fours of a step.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.launch import Config, num_multiprocessors

CONFIGS = tuple(
    Config({"PROGRAMS": programs, "maxnreg": registers}, num_warps)
    for programs, registers, num_warps in (
        (2, 128, 8),
        (1, 128, 16),
        (3, 168, 4),
    )
)
MAX_K = 16384
SHORTEST_PIECE = 2048  # columns
ABSENT = tl.constexpr(-(2**31))  # in place of an ordered score: below that of every number
LOWEST = tl.constexpr(-3.4028234663852886e38)  # of finite scores
STEP = tl.constexpr(512)  # columns that a warp takes at once: four times four neighbours a thread
PART = tl.constexpr(1024)  # of a buffer, as far as it is handled at once
SAMPLE = tl.constexpr(4096)
RUN = tl.constexpr(8)  # neighbours that are sampled together: 32 bytes, the least that memory gives


def topk(
    scores_TC: Tensor,
    starts_T: Tensor,
    ends_T: Tensor,
    k: int,
    *,
    out_TK: Tensor | None = None,
    config: Config = CONFIGS[0],
) -> Tensor:
    """int32 (T, K): ascending positions within [starts, ends), counted from the row's start; -1 pads behind them.

    Columns outside the range are not read, whatever they hold. Rows are read fastest where they lie a multiple of 16
    columns apart.
    """
    num_rows, num_columns = scores_TC.shape
    if not 1 <= k <= MAX_K:
        raise ValueError(f"k = {k}: 1 to {MAX_K}")
    if scores_TC.dtype != torch.float32 or scores_TC.stride(1) != 1:
        raise ValueError(f"scores: {scores_TC.dtype}, strides {scores_TC.stride()}: float32 with columns side by side")
    for name, tensor in (("starts", starts_T), ("ends", ends_T)):
        if tensor.shape != (num_rows,) or tensor.dtype != torch.int32 or not tensor.is_contiguous():
            raise ValueError(f"{name}: {tensor.dtype} {tuple(tensor.shape)}, contiguous int32 ({num_rows},) expected")
    if out_TK is None:
        out_TK = torch.empty(num_rows, k, dtype=torch.int32, device=scores_TC.device)
    if out_TK.shape != (num_rows, k) or out_TK.dtype != torch.int32 or not out_TK.is_contiguous():
        raise ValueError(f"out: {out_TK.dtype} {tuple(out_TK.shape)}, contiguous int32 {(num_rows, k)} expected")
    if num_rows == 0:
        return out_TK
    capacity = triton.next_power_of_2(max(2 * k, 2 * STEP.value))
    num_programs = config.blocks["PROGRAMS"] * num_multiprocessors(scores_TC.device)
    num_pieces = min(num_programs // num_rows, triton.cdiv(num_columns, SHORTEST_PIECE))
    if num_pieces > 1:
        _choose_by_pieces(scores_TC, starts_T, ends_T, out_TK, num_pieces, capacity, config)
        return out_TK
    num_programs = min(num_programs, num_rows)
    _choose_rows[(num_programs,)](
        scores_TC,
        scores_TC.stride(0),
        starts_T,
        ends_T,
        _pairs(scores_TC, num_programs, config.num_warps, capacity),
        _pairs(scores_TC, num_programs, capacity),
        out_TK,
        num_rows,
        K=k,
        CAPACITY=capacity,
        WARPS=config.num_warps,
        num_warps=config.num_warps,
        maxnreg=config.blocks["maxnreg"],
    )
    return out_TK


def plain_topk(scores_TC: Tensor, starts_T: Tensor, ends_T: Tensor, k: int) -> Tensor:
    """int32 (T, K)."""
    column_C = torch.arange(scores_TC.shape[1], device=scores_TC.device)
    inside_TC = (column_C >= starts_T[:, None]) & (column_C < ends_T[:, None])
    eligible_TC = inside_TC & (scores_TC > -torch.inf)  # NaN is above nothing
    ranked_TC = scores_TC.masked_fill(~eligible_TC, -torch.inf).sort(dim=1, descending=True, stable=True).indices
    order_TC = torch.empty_like(ranked_TC).scatter_(1, ranked_TC, column_C.expand_as(ranked_TC))
    kept_TC = eligible_TC & (order_TC < k)
    position_TC = (column_C - starts_T[:, None]).masked_fill(~kept_TC, scores_TC.shape[1])
    position_TC = torch.nn.functional.pad(position_TC, (0, k), value=scores_TC.shape[1]).sort(dim=1).values[:, :k]
    return position_TC.masked_fill(position_TC == scores_TC.shape[1], -1).int()


def _choose_by_pieces(
    scores_TC: Tensor,
    starts_T: Tensor,
    ends_T: Tensor,
    out_TK: Tensor,
    num_pieces: int,
    capacity: int,
    config: Config,
) -> None:
    (num_rows, num_columns), num_warps = scores_TC.shape, config.num_warps
    piece = triton.cdiv(num_columns, num_pieces)
    segment = triton.cdiv(piece, num_warps * STEP.value) * STEP.value + 4
    collected = _pairs(scores_TC, num_rows, num_pieces * num_warps, segment)
    counts = torch.empty(num_rows, num_pieces * num_warps, dtype=torch.int32, device=scores_TC.device)
    constants = {"K": out_TK.shape[1], "WARPS": num_warps}
    options = {"num_warps": num_warps, "maxnreg": config.blocks["maxnreg"]}
    _collect_pieces[(num_rows, num_pieces)](
        scores_TC,
        scores_TC.stride(0),
        starts_T,
        ends_T,
        collected,
        segment,
        counts,
        num_pieces,
        piece,
        **constants,
        **options,
    )
    _choose_from_pieces[(num_rows,)](
        scores_TC,
        scores_TC.stride(0),
        starts_T,
        ends_T,
        collected,
        segment,
        counts,
        num_pieces * num_warps,
        _pairs(scores_TC, num_rows, num_warps, capacity),
        _pairs(scores_TC, num_rows, capacity),
        out_TK,
        SEGMENTS=triton.next_power_of_2(num_pieces * num_warps),
        CAPACITY=capacity,
        **constants,
        **options,
    )


def _pairs(scores_TC: Tensor, *shape: int) -> Tensor:
    """(..., 2): a position and the bits of its score."""
    return torch.empty(*shape, 2, dtype=torch.int32, device=scores_TC.device)


@triton.jit
def _choose_rows(
    scores: tl.tensor,
    stride: tl.tensor,
    starts: tl.tensor,
    ends: tl.tensor,
    segments: tl.tensor,
    buffers: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    K: tl.constexpr,
    CAPACITY: tl.constexpr,
    WARPS: tl.constexpr,
) -> None:
    program = tl.program_id(0).to(tl.int64)
    buffer = buffers + program * (2 * CAPACITY)
    segments += program * (2 * CAPACITY * WARPS)
    for row in range(tl.program_id(0), num_rows, tl.num_programs(0)):
        start, end = tl.load(starts + row), tl.load(ends + row)
        at = tl.cast(row, tl.int64)
        bound = _sample_bound(scores + at * stride, start, end, K, CAPACITY)
        count = _choose_row(scores + at * stride, start, end, bound, segments, buffer, K, CAPACITY, WARPS)
        _write(buffer, count, out + at * K, K)


@triton.jit
def _collect_pieces(
    scores: tl.tensor,
    stride: tl.tensor,
    starts: tl.tensor,
    ends: tl.tensor,
    collected: tl.tensor,
    segment: tl.tensor,
    counts: tl.tensor,
    num_pieces: tl.tensor,
    piece: tl.tensor,
    K: tl.constexpr,
    WARPS: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    at = (row * num_pieces + tl.program_id(1)) * WARPS
    scores += row * stride
    start, end = tl.load(starts + row), tl.load(ends + row)
    low = start + tl.program_id(1) * piece
    high = tl.minimum(low + piece, end)
    bound = tl.cast(LOWEST, tl.float32)
    if low < high:
        bound = _sample_bound(scores, start, end, K, 2 * K)
    counts_W = _collect(scores, start, low, high, bound, collected + at * segment * 2, segment, WARPS)
    tl.store(counts + at + tl.arange(0, WARPS), counts_W)


@triton.jit
def _choose_from_pieces(
    scores: tl.tensor,
    stride: tl.tensor,
    starts: tl.tensor,
    ends: tl.tensor,
    collected: tl.tensor,
    segment: tl.tensor,
    counts: tl.tensor,
    num_segments: tl.tensor,
    segments: tl.tensor,
    buffers: tl.tensor,
    out: tl.tensor,
    SEGMENTS: tl.constexpr,
    K: tl.constexpr,
    CAPACITY: tl.constexpr,
    WARPS: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    start, end = tl.load(starts + row), tl.load(ends + row)
    buffer = buffers + row * (2 * CAPACITY)
    lane = tl.arange(0, SEGMENTS)
    counts_S = tl.load(counts + row * num_segments + lane, mask=lane < num_segments, other=0)
    count = tl.sum(counts_S)
    if (count > CAPACITY) | ((count < K) & (count < end - start)):  # many alike, or a bound that was too high
        segments += row * (2 * CAPACITY * WARPS)
        bound = tl.cast(LOWEST, tl.float32)
        count = _choose_row(scores + row * stride, start, end, bound, segments, buffer, K, CAPACITY, WARPS)
    else:
        _join(collected + row * num_segments * segment * 2, segment, tl.cumsum(counts_S, 0), count, buffer, SEGMENTS)
        if count > K:
            _keep_best(buffer, count, K, CAPACITY)
            count = tl.minimum(count, K)
    _write(buffer, count, out + row * K, K)


@triton.jit
def _choose_row(
    scores: tl.tensor,
    start: tl.tensor,
    end: tl.tensor,
    bound: tl.tensor,
    segments: tl.tensor,
    buffer: tl.tensor,
    K: tl.constexpr,
    CAPACITY: tl.constexpr,
    WARPS: tl.constexpr,
) -> tl.tensor:
    """Leaves the best pairs of a row in the buffer, in order; returns how many: K, or all that there are."""
    count, low = tl.full([], 0, tl.int32), start
    span = tl.where(bound > LOWEST, end - start, CAPACITY)
    sampled = (bound > LOWEST).to(tl.int32)
    while low < end:
        high = tl.minimum(low + span, end)
        counts_W = _collect(scores, start, low, high, bound, segments, CAPACITY, WARPS)
        total = tl.sum(counts_W)
        if (count + total > CAPACITY) | (tl.max(counts_W) > CAPACITY - 4):
            span = CAPACITY - count  # so many always fit
        else:
            _join(segments, CAPACITY, tl.cumsum(counts_W, 0), total, buffer + 2 * count, WARPS)
            count += total
            if count > K:
                bound = _unorder(_keep_best(buffer, count, K, CAPACITY) + 1)  # who ties with the last is too late
                count = tl.minimum(count, K)
            low = high
            span *= 2
            if (low >= end) & (count < K) & (sampled != 0):  # the sample's bound was too high
                low, count, span = start, count * 0, count * 0 + CAPACITY
                bound, sampled = bound * 0 + LOWEST, sampled * 0
    return count


@triton.jit
def _sample_bound(
    scores: tl.tensor, start: tl.tensor, end: tl.tensor, K: tl.constexpr, SHORT: tl.constexpr
) -> tl.tensor:
    """A score that some more than K of the row reach, as far as a sample can tell; LOWEST for a row up to SHORT."""
    bound = tl.cast(LOWEST, tl.float32)
    length = end - start
    if length > tl.maximum(SHORT, SAMPLE):
        lane = tl.arange(0, SAMPLE)
        column = start // RUN * RUN + (lane // RUN) * (length // SAMPLE * RUN) + lane % RUN
        key = tl.where(column >= start, _order(tl.load(scores + column)), ABSENT)
        share = K * SAMPLE / length.to(tl.float32)
        wanted = (1.1 * share + 3.5 * tl.sqrt(share)).to(tl.int32) + 1
        count = tl.sum((key > ABSENT).to(tl.int32))
        if count > wanted:
            bound = _unorder(_kth_best(key, count, wanted, wanted // 32))
    return bound


@triton.jit
def _collect(
    scores: tl.tensor,
    start: tl.tensor,
    low: tl.tensor,
    high: tl.tensor,
    bound: tl.tensor,
    segments: tl.tensor,
    segment: tl.tensor,
    WARPS: tl.constexpr,
) -> tl.tensor:
    """int32 (W,): how many of its run each warp has found; it stores as many as its segment holds."""
    warp = tl.arange(0, WARPS)
    first = low // 4 * 4  # four scores are loaded at once
    whole = first + tl.maximum(high - first, 0) // 4 * 4
    run = tl.cdiv(whole - first, WARPS * STEP) * STEP
    # This order of axes lets the compiler give lanes to threads, warps to warps and fours to registers.
    column = tl.arange(0, 32)[:, None, None] * 4 + tl.arange(0, 4)[None, None, :] * 128
    column += (first + warp * run)[None, :, None]
    score = _load_fours(scores, column, whole)
    score = tl.where(column[:, :, :, None] + tl.arange(0, 4)[None, None, None, :] < low, float("-inf"), score)
    counts_W = tl.zeros([WARPS], tl.int32)
    for done in range(0, run, STEP):
        # On its way while this step is sorted out; behind the run there is nothing to load.
        ahead = _load_fours(scores, column + STEP, tl.where(done + STEP < run, whole, 0))
        counts_W += _append(score, column - start, bound, counts_W, segments, segment, WARPS)
        column += STEP
        score = ahead
    # What is left is not four: the last warp's.
    column = whole + tl.arange(0, 4)
    score = tl.load(scores + column, mask=(column >= low) & (column < high), other=float("-inf"))
    place = (WARPS - 1) * segment + tl.sum(tl.where(warp == WARPS - 1, counts_W, 0))
    taken = score >= bound
    rank = tl.cumsum(taken.to(tl.int32), 0)
    pair = segments + 2 * (place + rank - 1)
    tl.store(pair, column - start, mask=taken)
    tl.store(pair + 1, score.to(tl.int32, bitcast=True), mask=taken)
    tl.debug_barrier()
    return counts_W + tl.where(warp == WARPS - 1, tl.sum(taken.to(tl.int32)), 0)


@triton.jit
def _load_fours(scores: tl.tensor, column: tl.tensor, end: tl.tensor) -> tl.tensor:
    """(L, W, F, 4)."""
    column = tl.multiple_of(column, [1, 1, 4])[:, :, :, None]
    at = scores + (column + tl.arange(0, 4)[None, None, None, :])
    return tl.load(at, mask=tl.broadcast_to(column < end, at.shape), other=float("-inf"))


@triton.jit
def _append(
    score: tl.tensor,
    position: tl.tensor,
    bound: tl.tensor,
    counts_W: tl.tensor,
    segments: tl.tensor,
    segment: tl.tensor,
    WARPS: tl.constexpr,
) -> tl.tensor:
    """Stores the pairs that reach the bound behind those of their warp; int32 (W,): how many they are.

    A warp's four rows of 128 are counted in the four bytes of a number, so that one scan serves 16 scores a thread.
    """
    byte = tl.arange(0, 4)[None, None, :] * 8
    ones = tl.where(score >= bound, tl.full([], 1, tl.int32) << byte[:, :, :, None], 0)
    packed = tl.sum(tl.reshape(ones, (32, WARPS, 16)), axis=2)
    before = (tl.trans(tl.cumsum(tl.trans(packed), 1)) - packed)[:, :, None] >> byte & 0xFF
    total = tl.sum(packed, axis=0)
    sum_0 = total & 0xFF
    sum_1 = sum_0 + (total >> 8 & 0xFF)
    sum_2 = sum_1 + (total >> 16 & 0xFF)
    place = counts_W[None, :, None] + before
    place += tl.where(byte > 0, sum_0[None, :, None], 0)
    place += tl.where(byte > 8, (sum_1 - sum_0)[None, :, None], 0)
    place += tl.where(byte > 16, (sum_2 - sum_1)[None, :, None], 0)
    is_room = place < segment - 3
    pair = segments + 2 * ((tl.arange(0, WARPS) * segment)[None, :, None] + place)
    even, odd = tl.split(tl.reshape(score, (32, WARPS, 4, 2, 2)))
    score_0, score_2 = tl.split(even)
    score_1, score_3 = tl.split(odd)
    pair = _append_one(score_0, position, bound, pair, is_room)
    pair = _append_one(score_1, position + 1, bound, pair, is_room)
    pair = _append_one(score_2, position + 2, bound, pair, is_room)
    _append_one(score_3, position + 3, bound, pair, is_room)
    return sum_2 + (total >> 24 & 0xFF)


@triton.jit
def _append_one(
    score: tl.tensor, position: tl.tensor, bound: tl.tensor, pair: tl.tensor, is_room: tl.tensor
) -> tl.tensor:
    taken = score >= bound
    _store_pair(pair, position, score.to(tl.int32, bitcast=True), taken & is_room)
    return pair + 2 * taken.to(tl.int32)


@triton.jit
def _store_pair(pair: tl.tensor, position: tl.tensor, bits: tl.tensor, mask: tl.tensor) -> None:
    """Both at once, 8 bytes."""
    target = tl.expand_dims(pair, -1) + tl.arange(0, 2)
    tl.store(target, tl.join(position, bits), mask=tl.broadcast_to(tl.expand_dims(mask, -1), target.shape))


@triton.jit
def _join(
    segments: tl.tensor,
    segment: tl.tensor,
    after: tl.tensor,
    count: tl.tensor,
    buffer: tl.tensor,
    SEGMENTS: tl.constexpr,
) -> None:
    """Copies the pairs of segments side by side; `after` is where each ends among them."""
    for base in range(0, count, PART):
        place = base + tl.arange(0, PART)
        owner = tl.zeros([PART], tl.int32)  # the first segment that ends after the place
        step = SEGMENTS // 2
        while step > 0:
            owner += tl.where(tl.gather(after, owner + step - 1, 0) <= place, step, 0)
            step //= 2
        before = tl.where(owner > 0, tl.gather(after, tl.maximum(owner - 1, 0), 0), 0)
        pair = segments + 2 * (owner.to(tl.int64) * segment + place - before)
        position = tl.load(pair, mask=place < count, other=0)
        bits = tl.load(pair + 1, mask=place < count, other=0)
        _store_pair(buffer + 2 * place, position, bits, place < count)
    tl.debug_barrier()


@triton.jit
def _keep_best(buffer: tl.tensor, count: tl.tensor, K: tl.constexpr, CAPACITY: tl.constexpr) -> tl.tensor:
    """Leaves the K best in the buffer, in order; returns the ordered score of the last. There must be K at least."""
    # From the end: addresses that did not depend on the count would be kept in registers all along the row.
    whole = count - CAPACITY + tl.arange(0, CAPACITY)
    keys = tl.where(whole >= 0, _key(tl.load(buffer + 2 * whole + 1, mask=whole >= 0, other=0)), ABSENT)
    threshold = _kth_best(keys, count, K, 0)
    num_above, num_tied = tl.full([], 0, tl.int32), tl.full([], 0, tl.int32)
    spare = K - tl.sum((keys > threshold).to(tl.int32))  # of those at the threshold the first ones are kept
    for base in range(0, count, PART):  # read again: kept in registers, pairs and places would spill
        part = base + tl.arange(0, PART)
        position = tl.load(buffer + 2 * part, mask=part < count, other=0)
        bits = tl.load(buffer + 2 * part + 1, mask=part < count, other=0)
        key = tl.where(part < count, _key(bits), ABSENT)
        above, tied = key > threshold, (key == threshold) & (part < count)
        ranks = tl.cumsum(above.to(tl.int32) + (tied.to(tl.int32) << 16), 0)
        tied_rank = num_tied + (ranks >> 16)
        place = num_above + (ranks & 0xFFFF) + tl.minimum(tied_rank, spare) - 1
        tl.debug_barrier()  # what is stored here has been read by all
        _store_pair(buffer + 2 * place, position, bits, above | (tied & (tied_rank <= spare)))
        total = tl.max(ranks)
        num_above += total & 0xFFFF
        num_tied += total >> 16
    tl.debug_barrier()
    return threshold


@triton.jit
def _write(buffer: tl.tensor, count: tl.tensor, out: tl.tensor, K: tl.constexpr) -> None:
    for base in range(0, K, PART):
        place = base + tl.arange(0, PART)
        position = tl.load(buffer + 2 * place, mask=place < count, other=-1)
        tl.store(out + place, position, mask=place < K)
    tl.debug_barrier()  # before the next row is collected over it


@triton.jit
def _kth_best(key: tl.tensor, count: tl.tensor, k: tl.tensor, slack: tl.tensor) -> tl.tensor:
    """The largest number that at least k of the `count` present keys reach, or one that k + slack at most reach."""
    low = tl.min(tl.where(key > ABSENT, key, 0x7FFFFFFF)).to(tl.int64)
    high = tl.max(key).to(tl.int64)
    reached = count
    while (low < high) & (reached > k + slack):
        middle = (low + high + 1) >> 1
        num = tl.sum((key >= middle.to(tl.int32)).to(tl.int32))
        high = tl.where(num >= k, high, middle - 1)
        low = tl.where(num >= k, middle, low)
        reached = tl.where(num >= k, num, reached)
    return low.to(tl.int32)


@triton.jit
def _key(bits: tl.tensor) -> tl.tensor:
    return _order(bits.to(tl.float32, bitcast=True))


@triton.jit
def _order(score: tl.tensor) -> tl.tensor:
    """int32 in the order of the scores; both zeros are one, NaN and -inf are ABSENT."""
    bits = tl.where(score == 0.0, 0.0, score).to(tl.int32, bitcast=True)
    return tl.where(score >= LOWEST, bits ^ ((bits >> 31) & 0x7FFFFFFF), ABSENT)


@triton.jit
def _unorder(key: tl.tensor) -> tl.tensor:
    return (key ^ ((key >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)
