"""The best k scores of each row: exact, ties to the lowest position, NaN and -inf never. One pass over the scores.

A row gives a bound first: a sample's score so low that k of the row are surely, or nearly so, at least as good. One
pass collects what reaches the bound, in order; where the buffer fills up, the best k are kept and the bound is theirs.
The k best of the collected are found by bisection over the bits of their scores. Where fewer than k reached the bound
the row is read again without one: the sample decides how long it takes, never what comes out.
Many rows take a program each. Few rows (decode) are cut into pieces that collect side by side; a second kernel chooses.
Legend: T rows, C columns, K chosen.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.launch import Config, num_multiprocessors

CONFIGS = tuple(
    Config({"BLOCK": block, "PROGRAMS": programs, "maxnreg": registers}, num_warps)
    for block, programs, registers, num_warps in (
        (2048, 2, 128, 8),
        (1024, 2, 128, 8),
        (2048, 1, 128, 16),
        (4096, 1, 128, 16),
    )
)
MAX_K = 4096
SHORTEST_PIECE = 2048  # columns
ABSENT = tl.constexpr(-(2**31))  # in place of an ordered score: below that of every number
LOWEST = tl.constexpr(-3.4028234663852886e38)  # of finite scores
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

    Columns outside the range are not read, whatever they hold.
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
    block = config.blocks["BLOCK"]
    constants = {"K": k, "CAPACITY": triton.next_power_of_2(max(2 * k, k + block)), "BLOCK": block}
    num_programs = config.blocks["PROGRAMS"] * num_multiprocessors(scores_TC.device)
    num_pieces = min(num_programs // num_rows, triton.cdiv(num_columns, SHORTEST_PIECE))
    if num_pieces > 1:
        _choose_by_pieces(scores_TC, starts_T, ends_T, out_TK, num_pieces, constants, config)
    else:
        num_programs = min(num_programs, num_rows)
        buffers = _buffer(scores_TC, num_programs, constants["CAPACITY"])
        _choose_rows[(num_programs,)](
            scores_TC,
            scores_TC.stride(0),
            starts_T,
            ends_T,
            buffers,
            out_TK,
            num_rows,
            num_warps=config.num_warps,
            maxnreg=config.blocks["maxnreg"],
            **constants,
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
    constants: dict[str, int],
    config: Config,
) -> None:
    num_rows, num_columns = scores_TC.shape
    piece = triton.cdiv(num_columns, num_pieces)
    collected = _buffer(scores_TC, num_rows, num_pieces * piece)
    counts = torch.empty(num_rows, num_pieces, dtype=torch.int32, device=scores_TC.device)
    _collect_pieces[(num_rows, num_pieces)](
        scores_TC,
        scores_TC.stride(0),
        starts_T,
        ends_T,
        collected,
        counts,
        num_pieces,
        piece,
        K=constants["K"],
        BLOCK=constants["BLOCK"],
        num_warps=config.num_warps,
        maxnreg=config.blocks["maxnreg"],
    )
    _choose_from_pieces[(num_rows,)](
        scores_TC,
        scores_TC.stride(0),
        starts_T,
        ends_T,
        collected,
        counts,
        _buffer(scores_TC, num_rows, constants["CAPACITY"]),
        out_TK,
        num_pieces,
        piece,
        PIECES=triton.next_power_of_2(num_pieces),
        num_warps=config.num_warps,
        maxnreg=config.blocks["maxnreg"],
        **constants,
    )


def _buffer(scores_TC: Tensor, *shape: int) -> Tensor:
    """(..., 2): a position and the bits of its score."""
    return torch.empty(*shape, 2, dtype=torch.int32, device=scores_TC.device)


@triton.jit
def _choose_rows(
    scores: tl.tensor,
    stride: tl.tensor,
    starts: tl.tensor,
    ends: tl.tensor,
    buffers: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    K: tl.constexpr,
    CAPACITY: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    buffer = buffers + tl.program_id(0).to(tl.int64) * (2 * CAPACITY)
    for row in range(tl.program_id(0), num_rows, tl.num_programs(0)):
        start, end = tl.load(starts + row), tl.load(ends + row)
        at = tl.cast(row, tl.int64)
        count = _collect_row(scores + at * stride, start, end, buffer, K, CAPACITY, BLOCK)
        _write_best(buffer, count, out + at * K, K, CAPACITY)


@triton.jit
def _collect_row(
    scores: tl.tensor,
    start: tl.tensor,
    end: tl.tensor,
    buffer: tl.tensor,
    K: tl.constexpr,
    CAPACITY: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    bound = _sample_bound(scores, start, end, K, CAPACITY)
    count = tl.full([], -1, tl.int32)
    while (count < 0) | ((count < K) & (bound > LOWEST)):
        bound = tl.where(count < 0, bound, LOWEST)  # it was too high
        count = _collect(scores, start, end, bound, buffer, K, CAPACITY, BLOCK)
    return count


@triton.jit
def _collect_pieces(
    scores: tl.tensor,
    stride: tl.tensor,
    starts: tl.tensor,
    ends: tl.tensor,
    collected: tl.tensor,
    counts: tl.tensor,
    num_pieces: tl.tensor,
    piece: tl.tensor,
    K: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    at = row * num_pieces + tl.program_id(1)
    scores += row * stride
    start, end = tl.load(starts + row), tl.load(ends + row)
    low = start + tl.program_id(1) * piece
    high = tl.minimum(low + piece, end)
    count = tl.full([], 0, tl.int32)
    if low < high:
        bound = _sample_bound(scores, start, end, K, 2 * K)
        count = _collect(scores, low, high, bound, collected + at * piece * 2, K, 0, BLOCK)
    tl.store(counts + at, count)


@triton.jit
def _choose_from_pieces(
    scores: tl.tensor,
    stride: tl.tensor,
    starts: tl.tensor,
    ends: tl.tensor,
    collected: tl.tensor,
    counts: tl.tensor,
    buffers: tl.tensor,
    out: tl.tensor,
    num_pieces: tl.tensor,
    piece: tl.tensor,
    PIECES: tl.constexpr,
    K: tl.constexpr,
    CAPACITY: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    start, end = tl.load(starts + row), tl.load(ends + row)
    out += row * K
    buffer = buffers + row * (2 * CAPACITY)
    lane = tl.arange(0, PIECES)
    after = tl.cumsum(tl.load(counts + row * num_pieces + lane, mask=lane < num_pieces, other=0), 0)
    count = tl.max(after)
    if (count > CAPACITY) | ((count < K) & (count < end - start)):  # many alike, or a bound that was too high
        count = _collect_row(scores + row * stride, start, end, buffer, K, CAPACITY, BLOCK)
    else:
        for base in range(0, count, PART):
            place = base + tl.arange(0, PART)
            owner = tl.zeros([PART], tl.int32)  # the first piece that ends after the place
            step = PIECES // 2
            while step > 0:
                owner += tl.where(tl.gather(after, owner + step - 1, 0) <= place, step, 0)
                step //= 2
            before = tl.where(owner > 0, tl.gather(after, tl.maximum(owner - 1, 0), 0), 0)
            pair = collected + 2 * ((row * num_pieces + owner) * piece + place - before)
            position = tl.load(pair, mask=place < count, other=0) + owner * piece  # counted from the row's start
            _store_pair(buffer + 2 * place, position, tl.load(pair + 1, mask=place < count, other=0), place < count)
        tl.debug_barrier()
    _write_best(buffer, count, out, K, CAPACITY)


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
    low: tl.tensor,
    high: tl.tensor,
    bound: tl.tensor,
    buffer: tl.tensor,
    K: tl.constexpr,
    CAPACITY: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """How many pairs of the columns [low, high) it left in the buffer, in order.

    The K best are among them if K reach the bound. CAPACITY 0: the buffer holds as many as there are.
    """
    bound, count = tl.cast(bound, tl.float32), tl.full([], 0, tl.int32)
    first = low // 4 * 4
    score = _load_block(scores, first, high, BLOCK)
    score = tl.where(first + _lanes(BLOCK) < low, float("-inf"), score)
    for base in range(first, high, BLOCK):
        ahead = _load_block(scores, base + BLOCK, high, BLOCK)  # on its way while this block is sorted out
        last = tl.cumsum(_count_fours(score, bound), 0)
        total = tl.max(last)
        if CAPACITY > 0:
            if count + total > CAPACITY:
                count, bound = _prune(buffer, count, K, CAPACITY)
                last = tl.cumsum(_count_fours(score, bound), 0)
                total = tl.max(last)
        _append(score, base - low, bound, buffer + 2 * count, last)
        count += total
        score = ahead
    tl.debug_barrier()
    return count


@triton.jit
def _load_block(scores: tl.tensor, base: tl.tensor, high: tl.tensor, BLOCK: tl.constexpr) -> tl.tensor:
    """(BLOCK / 4, 4), -inf from `high` on. A block that is whole has no mask, so that four are loaded at once."""
    lane = _lanes(BLOCK)
    if base + BLOCK <= high:
        score = tl.load(scores + base + lane)
    else:
        score = tl.load(scores + base + lane, mask=base + lane < high, other=float("-inf"))
    return score


@triton.jit
def _lanes(BLOCK: tl.constexpr) -> tl.tensor:
    return tl.arange(0, BLOCK // 4)[:, None] * 4 + tl.arange(0, 4)[None, :]


@triton.jit
def _prune(buffer: tl.tensor, count: tl.tensor, K: tl.constexpr, CAPACITY: tl.constexpr) -> tuple[tl.tensor, tl.tensor]:
    """Leaves the K best in the buffer; returns how many they are, and what a later score must reach to be one."""
    tl.debug_barrier()
    threshold = _keep_best(buffer, count, buffer, K, CAPACITY, True)
    return tl.minimum(count, K), _unorder(threshold + 1)  # who ties with the last is too late


@triton.jit
def _count_fours(score: tl.tensor, bound: tl.tensor) -> tl.tensor:
    """Of each thread's four in a row, how many reach the bound: one scan serves them all."""
    return tl.sum((score >= bound).to(tl.int32), axis=1)


@triton.jit
def _append(score: tl.tensor, position: tl.tensor, bound: tl.tensor, buffer: tl.tensor, last: tl.tensor) -> None:
    """Stores the pairs that reach the bound, side by side; `last` is the rank of the last of four, from 1 on."""
    even, odd = tl.split(tl.reshape(score, (score.shape[0], 2, 2)))
    score_0, score_2 = tl.split(even)
    score_1, score_3 = tl.split(odd)
    position += 4 * tl.arange(0, score.shape[0])
    buffer += 2 * (last - _count_fours(score, bound))
    buffer = _append_one(score_0, position, bound, buffer)
    buffer = _append_one(score_1, position + 1, bound, buffer)
    buffer = _append_one(score_2, position + 2, bound, buffer)
    _append_one(score_3, position + 3, bound, buffer)


@triton.jit
def _append_one(score: tl.tensor, position: tl.tensor, bound: tl.tensor, buffer: tl.tensor) -> tl.tensor:
    taken = score >= bound
    _store_pair(buffer, position, score.to(tl.int32, bitcast=True), taken)
    return buffer + 2 * taken.to(tl.int32)


@triton.jit
def _store_pair(pair: tl.tensor, position: tl.tensor, bits: tl.tensor, mask: tl.tensor) -> None:
    """Both at once, 8 bytes."""
    target = tl.multiple_of(pair, 2)[:, None] + tl.arange(0, 2)[None, :]
    tl.store(target, tl.join(position, bits), mask=tl.broadcast_to(mask[:, None], target.shape))


@triton.jit
def _keep_best(
    buffer: tl.tensor,
    count: tl.tensor,
    target: tl.tensor,
    K: tl.constexpr,
    CAPACITY: tl.constexpr,
    PAIRS: tl.constexpr,
) -> tl.tensor:
    """Stores the K best in order, or all where they are fewer; returns the ordered score of the last that is kept.

    The target takes PAIRS, and may be the buffer itself, or positions.
    """
    # From the end: addresses that did not depend on the count would be kept in registers all along the row.
    whole = count - CAPACITY + tl.arange(0, CAPACITY)
    keys = tl.where(whole >= 0, _key(tl.load(buffer + 2 * whole + 1, mask=whole >= 0, other=0)), ABSENT)
    threshold = _kth_best(keys, count, tl.minimum(count, K), 0)
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
        kept = above | (tied & (tied_rank <= spare))
        if PAIRS:
            tl.debug_barrier()  # what is stored here has been read by all
            _store_pair(target + 2 * place, position, bits, kept)
        else:
            tl.store(target + place, position, mask=kept)
        total = tl.max(ranks)
        num_above += total & 0xFFFF
        num_tied += total >> 16
    tl.debug_barrier()
    return threshold


@triton.jit
def _write_best(buffer: tl.tensor, count: tl.tensor, out: tl.tensor, K: tl.constexpr, CAPACITY: tl.constexpr) -> None:
    _keep_best(buffer, count, out, K, CAPACITY, False)
    pad = count + tl.arange(0, triton.next_power_of_2(K))
    tl.store(out + pad, -1, mask=pad < K)


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
