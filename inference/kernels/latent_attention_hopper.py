"""Absorbed attention over paged latents for Hopper alone, in Gluon: each warpgroup has its own part of the work.

Tokens come in blocks of 64, two at a time. One warpgroup gathers them into two buffers. The first of the other two
scores even blocks, the second odd ones; each holds half of the outputs' columns of 64 heads in its registers, so the
weights of a block go through shared memory to the other: into the place of the block's rotary keys, which nobody needs
any more. Plain Triton lets both warpgroups compute every score.
FP8 latents are widened to float16 while they are gathered: exact down to 2^-24 and up to 65504, which no normalised
latent and no query comes near; to bfloat16 it takes more than twice as many instructions.
H200, 128 heads, 2048 of 128K tokens a row, TFLOPS: 4096 rows 491, 128 rows 430, all of 16K tokens for 32 rows 573;
FP8 336, 295 and 374. Prefetching into L2 makes FP8 5% faster and bfloat16 slower.
Legend: see latent_attention.py.
"""

from __future__ import annotations

import torch
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import async_copy
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from inference.kernels.latent_attention import LN_2, Shape, join_parts, num_parts, room_for_parts
from inference.kernels.launch import INTERPRETED, Config

all_meet = getattr(gl, "barrier", None) or gl.thread_barrier  # its name until Triton 3.6

RANK, ROTARY = 512, 64  # what the registers and the shared memory are cut for
PAIR = 128  # tokens that are taken together
CONFIG = Config({"HOPPER": 1}, num_warps=4, num_stages=2)
# Widening takes eight warps, which leave the others registers for half as wide instructions.
FP8_CONFIG = Config({"HOPPER": 1, "AHEAD": 1, "COLUMNS": 128}, num_warps=8, num_stages=2)


def serves(shape: Shape, device: torch.device) -> bool:
    """Whether this is the kernel for it; else, and in the interpreter, which knows no Gluon, plain Triton is."""
    if INTERPRETED or device.type != "cuda" or torch.cuda.get_device_capability(device)[0] != 9:
        return False
    return (shape.rank, shape.rotary, shape.absorbed) == (RANK, ROTARY, True)


def config_of(shape: Shape) -> Config:
    return FP8_CONFIG if shape.fp8 else CONFIG


def is_meant(config: Config) -> bool:
    """In the interpreter plain Triton stands in."""
    return "HOPPER" in config.blocks and not INTERPRETED


def launch(
    shape: Shape,
    query_THX: Tensor,
    pages: Tensor,
    tokens: Tensor,
    block_tables_SB: Tensor,
    sequence_T: Tensor,
    out_THR: Tensor,
    lse_TH: Tensor,
    *,
    chosen: bool,
    num_tokens: int,
    softmax_scale: float,
    block_size: int,
    config: Config,
) -> None:
    """See latent_attention.launch."""
    if (shape.rank, shape.rotary, shape.absorbed) != (RANK, ROTARY, True):
        raise ValueError(f"{shape}: absorbed queries over latents of {RANK} + {ROTARY} expected")
    if shape.fp8 and pages.numel() >= 4 * 2**31:
        raise ValueError(f"{len(pages)} slots of FP8: {4 * 2**31 // pages.shape[1]} at most")
    num_tokens = max(1, num_tokens)
    parts = config.blocks.get("PARTS") or num_parts(shape, num_tokens, PAIR, query_THX.device)
    outs, lses = room_for_parts(parts, out_THR, lse_TH)
    _attend_part[(shape.num_rows * parts * shape.programs_per_row,)](
        query_THX,
        pages,
        tokens,
        block_tables_SB,
        sequence_T,
        outs,
        lses,
        num_tokens,
        block_tables_SB.stride(0),
        softmax_scale / LN_2,
        HEADS=shape.num_heads,
        GROUPS=shape.num_groups,
        FP8=shape.fp8,
        CHOSEN=chosen,
        BLOCK_SIZE=block_size,
        PARTS=parts,
        AHEAD=config.blocks.get("AHEAD", 0),
        COLUMNS=config.blocks.get("COLUMNS", 256),
        REGISTERS=config.blocks.get("REGISTERS", 200 if shape.fp8 else 216),
        num_warps=config.num_warps,
    )
    if parts > 1:
        join_parts(outs, lses, out_THR, lse_TH)


@gluon.jit
def _positions(tokens: gl.tensor, offset: gl.tensor, stop: gl.tensor, CHOSEN: gl.constexpr) -> gl.tensor:
    if CHOSEN:
        position = gl.load(tokens + offset, mask=offset < stop, other=-1)
    else:
        position = gl.where(offset < stop, offset, -1)
    return position


@gluon.jit
def _slots(position: gl.tensor, table: gl.tensor, BLOCK_SIZE: gl.constexpr) -> gl.tensor:
    block = gl.load(table + position // BLOCK_SIZE, mask=position >= 0, other=0)
    return gl.where(position >= 0, block * BLOCK_SIZE + position % BLOCK_SIZE, -1)


@gluon.jit
def _prefetch(pages: gl.tensor, slot: gl.tensor, SLOT_BYTES: gl.constexpr) -> None:
    """Rows into L2, each by one instruction of its thread."""
    address = pages.to(gl.int64, bitcast=True) + slot.to(gl.int64) * SLOT_BYTES
    gl.inline_asm_elementwise(
        "{ .reg .pred p; setp.ge.s32 p, $2, 0; @p cp.async.bulk.prefetch.L2.global [$1], $3; mov.b32 $0, $2; }",
        "=r,l,r,r",
        [address, slot, slot * 0 + SLOT_BYTES],
        dtype=gl.int32,
        is_pure=False,
        pack=1,
    )


@gluon.jit
def _gather_bf16(
    pages: gl.tensor,
    row: gl.tuple,
    shared: gl.tuple,
    barriers: gl.tuple,
    CHOSEN: gl.constexpr,
    BLOCK_SIZE: gl.constexpr,
    GROUPS: gl.constexpr,
) -> None:
    """Brings the tokens of block after block as soon as their place is free, the owner's half first."""
    tokens, table, first, stop, num_pairs = row
    queries, halves, rotaries, peaks, totals = shared
    own_full, other_full, own_empty, other_empty, ready, done = barriers
    WIDTH: gl.constexpr = GROUPS * 576
    # Eight neighbours read 128 bytes of a token, which is a row of a swizzled tile.
    layout: gl.constexpr = gl.BlockedLayout([1, 8], [4, 8], [4, 1], [1, 0])
    token = gl.arange(0, 64, gl.SliceLayout(1, layout))
    half_column = gl.arange(0, 256, gl.SliceLayout(0, layout))[None, :]
    rotary_column = gl.arange(0, 64, gl.SliceLayout(0, layout))[None, :]
    # Slots are read a block ahead and positions two, so that no copy waits for three reads in a row.
    slot = _slots(_positions(tokens, first + token, stop, CHOSEN), table, BLOCK_SIZE)
    position = _positions(tokens, first + 64 + token, stop, CHOSEN)
    for pair in range(num_pairs):
        parity = (pair & 1) ^ 1
        for b in gl.static_range(2):
            page = pages + slot.to(gl.int64)[:, None] * WIDTH
            is_token = (slot >= 0)[:, None]
            mbarrier.wait(own_empty.index(b), parity)
            async_copy.async_copy_global_to_shared(halves.index(3 * b), page + b * 256 + half_column, mask=is_token)
            async_copy.mbarrier_arrive(own_full.index(b), increment_count=False)
            mbarrier.wait(other_empty.index(b), parity)
            async_copy.async_copy_global_to_shared(
                halves.index(1 + b), page + (256 - b * 256) + half_column, mask=is_token
            )
            async_copy.async_copy_global_to_shared(rotaries.index(b), page + 512 + rotary_column, mask=is_token)
            async_copy.mbarrier_arrive(other_full.index(b), increment_count=False)
            slot = _slots(position, table, BLOCK_SIZE)
            position = _positions(tokens, first + (2 * pair + b + 2) * 64 + token, stop, CHOSEN)
    async_copy.wait_group(0)


@gluon.jit
def _load_chunk(words: gl.tensor, slot: gl.tensor, chunk: gl.constexpr) -> tuple[gl.tensor, gl.tensor]:
    """128 e4m3 of every token with their scale, or its rotary key, the fifth chunk: int32 (64, 32) and (64)."""
    layout: gl.constexpr = gl.BlockedLayout([1, 4], [8, 4], [gl.num_warps(), 1], [1, 0])
    column = gl.arange(0, 32, gl.SliceLayout(0, layout))[None, :]
    start: gl.constexpr = 132 if chunk == 4 else 32 * chunk
    values = gl.load(words + ((slot * 164)[:, None] + (start + column)), mask=(slot >= 0)[:, None], other=0)
    scale = slot
    if chunk != 4:
        scale = gl.load(words + (slot * 164 + (128 + chunk)), mask=slot >= 0, other=0)
    return values, scale


@gluon.jit
def _widen(values: gl.tensor, scale: gl.tensor) -> gl.tensor:
    """float16 pairs (64, 64): two instructions for two numbers, where bfloat16 takes five."""
    scale = scale.to(gl.float32, bitcast=True).to(gl.float16).to(gl.int16, bitcast=True).to(gl.int32)
    scale = (scale << 16) | scale  # a power of two is positive
    scale, values = gl.broadcast(scale[:, None], values)
    low, high = gl.inline_asm_elementwise(
        """{
        .reg .b16 a, b;
        mov.b32 {a, b}, $2;
        cvt.rn.f16x2.e4m3x2 $0, a;
        cvt.rn.f16x2.e4m3x2 $1, b;
        mul.rn.f16x2 $0, $0, $3;
        mul.rn.f16x2 $1, $1, $3;
        }""",
        "=&r,=&r,r,r",
        [values, scale],
        dtype=(gl.int32, gl.int32),
        is_pure=True,
        pack=1,
    )
    return gl.join(low, high).reshape([64, 64])


@gluon.jit
def _narrow(values: gl.tensor) -> gl.tensor:
    """float16 pairs of bfloat16 ones."""
    return gl.inline_asm_elementwise(
        """{
        .reg .b32 a, b;
        shl.b32 a, $1, 16;
        and.b32 b, $1, 0xffff0000;
        cvt.rn.f16x2.f32 $0, b, a;
        }""",
        "=r,r",
        [values],
        dtype=gl.int32,
        is_pure=True,
        pack=1,
    )


@gluon.jit
def _publish(barrier: gl.tensor) -> None:
    fence_async_shared()
    all_meet()
    mbarrier.arrive(barrier)


@gluon.jit
def _gather_fp8(
    pages: gl.tensor,
    row: gl.tuple,
    shared: gl.tuple,
    barriers: gl.tuple,
    CHOSEN: gl.constexpr,
    BLOCK_SIZE: gl.constexpr,
    AHEAD: gl.constexpr,
) -> None:
    """The same out of FP8 slots, widened on the way; two chunks are under way while one is widened."""
    tokens, table, first, stop, num_pairs = row
    queries, halves, rotaries, peaks, totals = shared
    own_full, other_full, own_empty, other_empty, ready, done = barriers
    WARPS: gl.constexpr = gl.num_warps()
    layout: gl.constexpr = gl.BlockedLayout([1, 4], [8, 4], [WARPS, 1], [1, 0])
    tile: gl.constexpr = gl.NVMMASharedLayout(128, 32, 2)
    half_words = halves._reinterpret(gl.int32, [4, 64, 128], tile)
    rotary_words = rotaries._reinterpret(gl.int32, [2, 64, 32], tile)
    words = pages.to(gl.pointer_type(gl.int32), bitcast=True)
    token = gl.arange(0, 64, gl.SliceLayout(1, layout))
    later = gl.arange(0, 128, gl.BlockedLayout([1], [32], [WARPS], [0]))
    later_slot = _slots(_positions(tokens, first + 128 + later, stop, CHOSEN), table, BLOCK_SIZE)
    slot = _slots(_positions(tokens, first + token, stop, CHOSEN), table, BLOCK_SIZE)
    values, scale = _load_chunk(words, slot, 0)
    next_values, next_scale = _load_chunk(words, slot, 1)
    for pair in range(num_pairs):
        if AHEAD > 0:
            _prefetch(pages, later_slot, 656)
            later_slot = _positions(tokens, first + (pair + 2) * 128 + later, stop, CHOSEN)
        parity = (pair & 1) ^ 1
        for b in gl.static_range(2):
            if AHEAD > 0 and b == 1:
                later_slot = _slots(later_slot, table, BLOCK_SIZE)
            next_slot = _positions(tokens, first + (2 * pair + b + 1) * 64 + token, stop, CHOSEN)
            for step in gl.static_range(5):
                # The owner's half, the other half, the rotary key.
                if step < 2:
                    last_values, last_scale = _load_chunk(words, slot, (step + 2 + 2 * b) % 4)
                elif step == 2:
                    last_values, last_scale = _load_chunk(words, slot, 4)
                else:
                    last_values, last_scale = _load_chunk(words, next_slot, (step - 3 + 2 * (1 - b)) % 4)
                if step == 0:
                    mbarrier.wait(own_empty.index(b), parity)
                if step == 2:
                    mbarrier.wait(other_empty.index(b), parity)
                if step < 2:
                    half_words.index(3 * b).slice(64 * step, 64, 1).store(_widen(values, scale))
                elif step < 4:
                    half_words.index(1 + b).slice(64 * (step - 2), 64, 1).store(_widen(values, scale))
                else:
                    rotary_words.index(b).store(_narrow(values))
                if step == 0:
                    next_slot = _slots(next_slot, table, BLOCK_SIZE)
                # Who reads fences: a fence here would wait for the chunks that are under way.
                if step == 1:
                    _release(own_full.index(b))
                if step == 4:
                    _release(other_full.index(b))
                values, scale = next_values, next_scale
                next_values, next_scale = last_values, last_scale
            slot = next_slot


@gluon.jit
def _gather(
    pages: gl.tensor,
    row: gl.tuple,
    shared: gl.tuple,
    barriers: gl.tuple,
    CHOSEN: gl.constexpr,
    BLOCK_SIZE: gl.constexpr,
    GROUPS: gl.constexpr,
    FP8: gl.constexpr,
    AHEAD: gl.constexpr,
) -> None:
    if FP8:
        _gather_fp8(pages, row, shared, barriers, CHOSEN, BLOCK_SIZE, AHEAD)
    else:
        _gather_bf16(pages, row, shared, barriers, CHOSEN, BLOCK_SIZE, GROUPS)


@gluon.jit
def _score(
    shared: gl.tuple, barriers: gl.tuple, pair: gl.tensor, SIDE: gl.constexpr, layout: gl.constexpr
) -> gl.tensor:
    """Begins the product of the queries with the block that this side owns."""
    queries, halves, rotaries, peaks, totals = shared
    own_full, other_full, own_empty, other_empty, ready, done = barriers
    query_halves, query_rotary = queries
    zero = pair >> 30  # unknown to the assembler, which would keep 36 descriptors over the loop, and spill
    phase = pair & 1
    mbarrier.wait(own_full.index(SIDE), phase)
    if halves.dtype == gl.float16:
        fence_async_shared()
    score = gl.zeros([64, 64], gl.float32, layout)
    own = halves.index(zero + 3 * SIDE).permute((1, 0))
    score = warpgroup_mma(query_halves.index(zero + SIDE), own, score, use_acc=False, is_async=True)
    mbarrier.wait(other_full.index(SIDE), phase)
    if halves.dtype == gl.float16:
        fence_async_shared()
    other = halves.index(zero + 1 + SIDE).permute((1, 0))
    score = warpgroup_mma(query_halves.index(zero + 1 - SIDE), other, score, is_async=True)
    rotary = rotaries.index(zero + SIDE).permute((1, 0))
    return warpgroup_mma(query_rotary.index(zero), rotary, score, is_async=True)


@gluon.jit
def _weigh(
    score: gl.tensor, is_token: gl.tensor, peak: gl.tensor, scale_log2: gl.tensor
) -> tuple[gl.tensor, gl.tensor]:
    score = gl.where(is_token[None, :], score * scale_log2, float("-inf"))
    new_peak = gl.maximum(peak, gl.max(score, 1))
    return gl.exp2(score - new_peak[:, None]), new_peak


@gluon.jit
def _fade(acc: gl.tensor, fade: gl.tensor) -> gl.tensor:
    layout: gl.constexpr = gl.SliceLayout(1, acc.type.layout)
    return acc * gl.convert_layout(fade, layout, assert_trivial=True)[:, None]


@gluon.jit
def _release(barrier: gl.tensor) -> None:
    all_meet()
    mbarrier.arrive(barrier)


@gluon.jit
def _give(
    shared: gl.tuple, barriers: gl.tuple, weight: gl.tensor, peak: gl.tensor, pair: gl.tensor, SIDE: gl.constexpr
) -> None:
    """This side's weights to the other side, in place of the block's rotary keys."""
    queries, halves, rotaries, peaks, totals = shared
    own_full, other_full, own_empty, other_empty, ready, done = barriers
    rotaries.index((pair >> 30) + SIDE).store(weight)
    peaks.index(SIDE).store(peak)
    _publish(ready.index(SIDE))
    mbarrier.arrive(other_empty.index(SIDE))


@gluon.jit
def _attend_even(
    row: gl.tuple,
    shared: gl.tuple,
    barriers: gl.tuple,
    outs: gl.tuple,
    scale_log2: gl.tensor,
    CHOSEN: gl.constexpr,
    COLUMNS: gl.constexpr,
) -> None:
    tokens, table, first, stop, num_pairs = row
    queries, halves, rotaries, peaks, totals = shared
    own_full, other_full, own_empty, other_empty, ready, done = barriers
    score_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16])
    out_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, COLUMNS, 16])
    row_layout: gl.constexpr = gl.SliceLayout(1, score_layout)
    weight_layout: gl.constexpr = gl.DotOperandLayout(0, out_layout, 2)
    token = gl.arange(0, 64, gl.SliceLayout(0, score_layout))
    acc = gl.zeros([64, 256], gl.float32, out_layout)
    peak = gl.full([64], -1e30, gl.float32, row_layout)  # finite, so that no token at all gives no NaN
    total = gl.zeros([64], gl.float32, row_layout)
    for pair in range(num_pairs):
        phase = pair & 1
        zero = pair >> 30
        score = _score(shared, barriers, pair, 0, score_layout)
        is_token = _positions(tokens, first + 2 * pair * 64 + token, stop, CHOSEN) >= 0
        score = warpgroup_mma_wait(0, deps=(score,))
        weight, new_peak = _weigh(score, is_token, peak, scale_log2)
        fade = gl.exp2(peak - new_peak)
        total = total * fade + gl.sum(weight, 1)
        peak = new_peak
        weight = weight.to(rotaries.dtype)
        _give(shared, barriers, weight, peak, pair, 0)
        acc = _fade(acc, fade)
        weight = gl.convert_layout(weight, weight_layout, assert_trivial=True)
        acc = warpgroup_mma(weight, halves.index(zero + 0), acc, is_async=True)

        mbarrier.wait(ready.index(1), phase)
        new_peak = peaks.index(1).load(row_layout)
        fade = gl.exp2(peak - new_peak)
        total = total * fade
        peak = new_peak
        acc, weight = warpgroup_mma_wait(0, deps=(acc, weight))
        _release(own_empty.index(0))
        acc = _fade(acc, fade)
        acc = warpgroup_mma(rotaries.index(zero + 1), halves.index(zero + 2), acc, is_async=True)
        acc = warpgroup_mma_wait(0, deps=(acc,))
        _release(other_empty.index(1))
    _finish(acc, peak, total, shared, barriers, outs, 0)


@gluon.jit
def _attend_odd(
    row: gl.tuple,
    shared: gl.tuple,
    barriers: gl.tuple,
    outs: gl.tuple,
    scale_log2: gl.tensor,
    CHOSEN: gl.constexpr,
    COLUMNS: gl.constexpr,
) -> None:
    tokens, table, first, stop, num_pairs = row
    queries, halves, rotaries, peaks, totals = shared
    own_full, other_full, own_empty, other_empty, ready, done = barriers
    score_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16])
    out_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, COLUMNS, 16])
    row_layout: gl.constexpr = gl.SliceLayout(1, score_layout)
    weight_layout: gl.constexpr = gl.DotOperandLayout(0, out_layout, 2)
    token = gl.arange(0, 64, gl.SliceLayout(0, score_layout))
    acc = gl.zeros([64, 256], gl.float32, out_layout)
    peak = gl.full([64], -1e30, gl.float32, row_layout)
    total = gl.zeros([64], gl.float32, row_layout)
    for pair in range(num_pairs):
        phase = pair & 1
        zero = pair >> 30
        score = _score(shared, barriers, pair, 1, score_layout)
        is_token = _positions(tokens, first + (2 * pair + 1) * 64 + token, stop, CHOSEN) >= 0

        mbarrier.wait(ready.index(0), phase)
        new_peak = peaks.index(0).load(row_layout)
        fade = gl.exp2(peak - new_peak)
        total = total * fade
        peak = new_peak
        acc = _fade(acc, fade)
        acc = warpgroup_mma(rotaries.index(zero + 0), halves.index(zero + 1), acc, is_async=True)
        score = warpgroup_mma_wait(1, deps=(score,))
        weight, new_peak = _weigh(score, is_token, peak, scale_log2)
        fade = gl.exp2(peak - new_peak)
        total = total * fade + gl.sum(weight, 1)
        peak = new_peak
        weight = weight.to(rotaries.dtype)
        _give(shared, barriers, weight, peak, pair, 1)
        acc = warpgroup_mma_wait(0, deps=(acc,))
        _release(other_empty.index(0))
        acc = _fade(acc, fade)
        weight = gl.convert_layout(weight, weight_layout, assert_trivial=True)
        acc = warpgroup_mma(weight, halves.index(zero + 3), acc, is_async=True)
        acc, weight = warpgroup_mma_wait(0, deps=(acc, weight))
        _release(own_empty.index(1))
    _finish(acc, peak, total, shared, barriers, outs, 1)


@gluon.jit
def _finish(
    acc: gl.tensor,
    peak: gl.tensor,
    total: gl.tensor,
    shared: gl.tuple,
    barriers: gl.tuple,
    outs: gl.tuple,
    SIDE: gl.constexpr,
) -> None:
    """Adds the other side's weights to the total, and writes this half of the columns."""
    queries, halves, rotaries, peaks, totals = shared
    own_full, other_full, own_empty, other_empty, ready, done = barriers
    out, lse, num_heads = outs
    out_layout: gl.constexpr = acc.type.layout
    row_layout: gl.constexpr = total.type.layout
    totals.index(SIDE).store(total)
    _release(done.index(SIDE))
    mbarrier.wait(done.index(1 - SIDE), 0)
    total += totals.index(1 - SIDE).load(row_layout)
    head = gl.arange(0, 64, row_layout)
    if SIDE == 0:
        gl.store(lse + head, (peak + gl.log2(total)) * 0.6931471805599453, mask=head < num_heads)
    acc = _fade(acc, 1 / gl.where(total == 0, 1.0, total))
    head = gl.arange(0, 64, gl.SliceLayout(1, out_layout))[:, None]
    column = gl.arange(0, 256, gl.SliceLayout(0, out_layout))[None, :]
    gl.store(out + head * 512 + SIDE * 256 + column, acc.to(out.dtype.element_ty), mask=head < num_heads)


@gluon.jit
def _load_queries(query: gl.tensor, num_heads: gl.tensor, queries: gl.tuple, FP8: gl.constexpr) -> None:
    query_halves, query_rotary = queries
    layout: gl.constexpr = gl.BlockedLayout([1, 8], [4, 8], [gl.num_warps(), 1], [1, 0])
    head = gl.arange(0, 64, gl.SliceLayout(1, layout))[:, None]
    column = gl.arange(0, 256, gl.SliceLayout(0, layout))[None, :]
    narrow = gl.arange(0, 64, gl.SliceLayout(0, layout))[None, :]
    place = query + head * 576
    is_head = head < num_heads
    if FP8:
        left = gl.load(place + column, mask=is_head, other=0.0)
        right = gl.load(place + 256 + column, mask=is_head, other=0.0)
        rotary = gl.load(place + 512 + narrow, mask=is_head, other=0.0)
        query_halves.index(0).store(left.to(gl.float32).to(gl.float16))
        query_halves.index(1).store(right.to(gl.float32).to(gl.float16))
        query_rotary.index(0).store(rotary.to(gl.float32).to(gl.float16))
    else:
        async_copy.async_copy_global_to_shared(query_halves.index(0), place + column, mask=is_head)
        async_copy.async_copy_global_to_shared(query_halves.index(1), place + 256 + column, mask=is_head)
        async_copy.async_copy_global_to_shared(query_rotary.index(0), place + 512 + narrow, mask=is_head)
        async_copy.wait_group(0)
    fence_async_shared()
    all_meet()


@gluon.jit
def _attend_part(
    query_ptr: gl.tensor,
    pages_ptr: gl.tensor,
    tokens_ptr: gl.tensor,
    tables_ptr: gl.tensor,
    sequence_ptr: gl.tensor,
    out_ptr: gl.tensor,
    lse_ptr: gl.tensor,
    num_tokens: gl.tensor,
    table_stride: gl.tensor,
    scale_log2: gl.tensor,
    HEADS: gl.constexpr,
    GROUPS: gl.constexpr,
    FP8: gl.constexpr,
    CHOSEN: gl.constexpr,
    BLOCK_SIZE: gl.constexpr,
    PARTS: gl.constexpr,
    AHEAD: gl.constexpr,
    COLUMNS: gl.constexpr,
    REGISTERS: gl.constexpr,
) -> None:
    GROUP_HEADS: gl.constexpr = HEADS // GROUPS
    GROUP_PROGRAMS: gl.constexpr = (GROUP_HEADS + 63) // 64
    ROW_PROGRAMS: gl.constexpr = GROUPS * GROUP_PROGRAMS
    program = gl.program_id(0)
    group = program % ROW_PROGRAMS // GROUP_PROGRAMS
    first_head = program % GROUP_PROGRAMS * 64
    num_heads = gl.minimum(GROUP_HEADS - first_head, 64)
    first_head += group * GROUP_HEADS
    part = program // ROW_PROGRAMS % PARTS
    row = (program // (ROW_PROGRAMS * PARTS)).to(gl.int64)

    number: gl.constexpr = gl.float16 if FP8 else gl.bfloat16
    tile: gl.constexpr = gl.NVMMASharedLayout(128, 16, 2)
    vector: gl.constexpr = gl.SwizzledSharedLayout(1, 1, 1, [0])
    query_halves = gl.allocate_shared_memory(number, [2, 64, 256], tile)
    query_rotary = gl.allocate_shared_memory(number, [1, 64, 64], tile)
    halves = gl.allocate_shared_memory(number, [4, 64, 256], tile)  # of the even block, of the odd one
    rotaries = gl.allocate_shared_memory(number, [2, 64, 64], tile)
    peaks = gl.allocate_shared_memory(gl.float32, [2, 64], vector)
    totals = gl.allocate_shared_memory(gl.float32, [2, 64], vector)
    # A side's own half of its block is used by it alone; the other half and the rotary keys by both.
    own_full = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    other_full = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    own_empty = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    other_empty = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    ready = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    done = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    for b in gl.static_range(2):
        mbarrier.init(own_full.index(b), count=1 if FP8 else 128)  # threads whose copies arrive by themselves
        mbarrier.init(other_full.index(b), count=1 if FP8 else 128)
        mbarrier.init(own_empty.index(b), count=1)
        mbarrier.init(other_empty.index(b), count=2)
        mbarrier.init(ready.index(b), count=1)
        mbarrier.init(done.index(b), count=1)
    queries = (query_halves, query_rotary)
    _load_queries(query_ptr + (row * HEADS + first_head) * 576, num_heads, queries, FP8)

    table = tables_ptr + gl.load(sequence_ptr + row).to(gl.int64) * table_stride
    if CHOSEN:
        tokens = tokens_ptr + row * num_tokens
        length = num_tokens
    else:
        tokens = tokens_ptr
        length = gl.load(tokens_ptr + row)
    part_tokens = ((length + PARTS - 1) // PARTS + 127) // 128 * 128
    first = part * part_tokens
    stop = gl.minimum(first + part_tokens, length)
    num_pairs = (gl.maximum(stop - first, 0) + 127) // 128
    out_row = (row * PARTS + part) * HEADS + first_head
    outs = (out_ptr + out_row * 512, lse_ptr + out_row, num_heads)
    given = (tokens, table, first, stop, num_pairs)
    shared = (queries, halves, rotaries, peaks, totals)
    barriers = (own_full, other_full, own_empty, other_empty, ready, done)
    pages = pages_ptr + group * 576
    gl.warp_specialize(
        [
            (_gather, (pages, given, shared, barriers, CHOSEN, BLOCK_SIZE, GROUPS, FP8, AHEAD)),
            (_attend_even, (given, shared, barriers, outs, scale_log2, CHOSEN, COLUMNS)),
            (_attend_odd, (given, shared, barriers, outs, scale_log2, CHOSEN, COLUMNS)),
        ],
        [4, 4],
        [REGISTERS, REGISTERS],
    )
