"""Absorbed attention over paged latents for Hopper alone, in Gluon: each warpgroup has its own part of the work.

Tokens come in blocks of 64, two at a time. One warpgroup gathers them into two buffers. The first of the other two
scores even blocks, the second odd ones; each holds half of the outputs' columns of 64 heads in its registers, so the
weights of a block go through shared memory to the other: into the place of the block's rotary keys, which nobody needs
any more. Plain Triton lets both warpgroups compute every score.
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

from inference.kernels.latent_attention import LN_2, Shape, join_parts, num_parts
from inference.kernels.launch import INTERPRETED, Config

RANK, ROTARY = 512, 64  # what the registers and the shared memory are cut for
PAIR = 128  # tokens that are taken together
CONFIG = Config({"HOPPER": 1}, num_warps=4, num_stages=2)


def is_wanted(config: Config) -> bool:
    """The interpreter knows no Gluon: plain Triton stands in."""
    return "HOPPER" in config.blocks and not INTERPRETED


def launch_hopper(
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
    if (shape.rank, shape.rotary, shape.absorbed, shape.fp8) != (RANK, ROTARY, True, False):
        raise ValueError(f"{shape}: absorbed queries over bfloat16 latents of {RANK} + {ROTARY} expected")
    num_tokens = max(1, num_tokens)
    parts = config.blocks.get("PARTS") or num_parts(shape, num_tokens, PAIR, query_THX.device)
    outs, lses = out_THR, lse_TH
    if parts > 1:
        outs = out_THR.new_empty(shape.num_rows, parts, *out_THR.shape[1:], dtype=torch.float32)
        lses = out_THR.new_empty(shape.num_rows, parts, shape.num_heads, dtype=torch.float32)
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
        RANK=RANK,
        ROTARY=ROTARY,
        CHOSEN=chosen,
        BLOCK_SIZE=block_size,
        PARTS=parts,
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
def _gather(
    pages_ptr: gl.tensor,
    tokens: gl.tensor,
    table: gl.tensor,
    first: gl.tensor,
    stop: gl.tensor,
    num_pairs: gl.tensor,
    left: gl.tensor,
    right: gl.tensor,
    rotary: gl.tensor,
    full: gl.tensor,
    empty: gl.tensor,
    RANK: gl.constexpr,
    ROTARY: gl.constexpr,
    CHOSEN: gl.constexpr,
    BLOCK_SIZE: gl.constexpr,
    GROUPS: gl.constexpr,
) -> None:
    N: gl.constexpr = 64
    WIDTH: gl.constexpr = GROUPS * (RANK + ROTARY)
    layout: gl.constexpr = gl.BlockedLayout([1, 8], [4, 8], [4, 1], [1, 0])
    token = gl.arange(0, N, gl.SliceLayout(1, layout))
    half_column = gl.arange(0, RANK // 2, gl.SliceLayout(0, layout))[None, :]
    rotary_column = gl.arange(0, ROTARY, gl.SliceLayout(0, layout))[None, :]
    slot = _slots(_positions(tokens, first + token, stop, CHOSEN), table, BLOCK_SIZE)
    position = _positions(tokens, first + N + token, stop, CHOSEN)
    for i in range(num_pairs):
        for b in gl.static_range(2):
            mbarrier.wait(empty.index(b), (i & 1) ^ 1)
            page = pages_ptr + slot.to(gl.int64)[:, None] * WIDTH
            mask = (slot >= 0)[:, None]
            async_copy.async_copy_global_to_shared(left.index(b), page + half_column, mask=mask)
            async_copy.async_copy_global_to_shared(right.index(b), page + RANK // 2 + half_column, mask=mask)
            async_copy.async_copy_global_to_shared(rotary.index(b), page + RANK + rotary_column, mask=mask)
            async_copy.mbarrier_arrive(full.index(b), increment_count=False)
            slot = _slots(position, table, BLOCK_SIZE)
            position = _positions(tokens, first + (2 * i + b + 2) * N + token, stop, CHOSEN)
    async_copy.wait_group(0)


@gluon.jit
def _score(
    query_left: gl.tensor,
    query_right: gl.tensor,
    query_rotary: gl.tensor,
    left: gl.tensor,
    right: gl.tensor,
    rotary: gl.tensor,
    score_layout: gl.constexpr,
) -> gl.tensor:
    score = gl.zeros([64, 64], gl.float32, score_layout)
    score = warpgroup_mma(query_left, left.permute((1, 0)), score, use_acc=False, is_async=True)
    score = warpgroup_mma(query_right, right.permute((1, 0)), score, is_async=True)
    score = warpgroup_mma(query_rotary, rotary.permute((1, 0)), score, is_async=True)
    return score


@gluon.jit
def _weigh(
    score: gl.tensor, is_token: gl.tensor, peak: gl.tensor, scale_log2: gl.tensor
) -> tuple[gl.tensor, gl.tensor]:
    score = gl.where(is_token[None, :], score * scale_log2, float("-inf"))
    new_peak = gl.maximum(peak, gl.max(score, 1))
    weight = gl.exp2(score - new_peak[:, None])
    return weight, new_peak


@gluon.jit
def _attend_even(
    queries: gl.tensor,
    left: gl.tensor,
    right: gl.tensor,
    rotary: gl.tensor,
    peaks: gl.tensor,
    totals: gl.tensor,
    full: gl.tensor,
    empty: gl.tensor,
    ready: gl.tensor,
    done: gl.tensor,
    tokens: gl.tensor,
    first: gl.tensor,
    stop: gl.tensor,
    num_pairs: gl.tensor,
    scale_log2: gl.tensor,
    out: gl.tensor,
    lse: gl.tensor,
    is_head_limit: gl.tensor,
    RANK: gl.constexpr,
    CHOSEN: gl.constexpr,
) -> None:
    query_left, query_right, query_rotary = queries
    score_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16])
    out_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 256, 16])
    row_layout: gl.constexpr = gl.SliceLayout(1, score_layout)
    weight_layout: gl.constexpr = gl.DotOperandLayout(0, out_layout, 2)
    token = gl.arange(0, 64, gl.SliceLayout(0, score_layout))
    acc = gl.zeros([64, RANK // 2], gl.float32, out_layout)
    peak = gl.full([64], -1e30, gl.float32, row_layout)
    total = gl.zeros([64], gl.float32, row_layout)
    for i in range(num_pairs):
        phase = i & 1
        zero = i >> 30
        mbarrier.wait(full.index(0), phase)
        score = _score(
            query_left.index(zero),
            query_right.index(zero),
            query_rotary.index(zero),
            left.index(zero + 0),
            right.index(zero + 0),
            rotary.index(zero + 0),
            score_layout,
        )
        is_token = _positions(tokens, first + 2 * i * 64 + token, stop, CHOSEN) >= 0
        score = warpgroup_mma_wait(0, deps=(score,))
        weight, new_peak = _weigh(score, is_token, peak, scale_log2)
        fade = gl.exp2(peak - new_peak)
        total = total * fade + gl.sum(weight, 1)
        peak = new_peak
        weight = weight.to(gl.bfloat16)
        rotary.index(zero + 0).store(weight)
        peaks.index(0).store(peak)
        fence_async_shared()
        gl.thread_barrier()
        mbarrier.arrive(ready.index(0))
        acc = acc * gl.convert_layout(fade, gl.SliceLayout(1, out_layout))[:, None]
        weight = gl.convert_layout(weight, weight_layout)
        acc = warpgroup_mma(weight, left.index(zero + 0), acc, is_async=True)

        mbarrier.wait(ready.index(1), phase)
        new_peak = peaks.index(1).load(row_layout)
        fade = gl.exp2(peak - new_peak)
        total = total * fade
        peak = new_peak
        acc, weight = warpgroup_mma_wait(0, deps=(acc, weight))
        gl.thread_barrier()
        mbarrier.arrive(empty.index(0))
        acc = acc * gl.convert_layout(fade, gl.SliceLayout(1, out_layout))[:, None]
        acc = warpgroup_mma(rotary.index(zero + 1), left.index(zero + 1), acc, is_async=True)
        acc = warpgroup_mma_wait(0, deps=(acc,))
        gl.thread_barrier()
        mbarrier.arrive(empty.index(1))
    _finish(acc, peak, total, totals, done, out, lse, is_head_limit, 0, RANK)


@gluon.jit
def _attend_odd(
    queries: gl.tensor,
    left: gl.tensor,
    right: gl.tensor,
    rotary: gl.tensor,
    peaks: gl.tensor,
    totals: gl.tensor,
    full: gl.tensor,
    empty: gl.tensor,
    ready: gl.tensor,
    done: gl.tensor,
    tokens: gl.tensor,
    first: gl.tensor,
    stop: gl.tensor,
    num_pairs: gl.tensor,
    scale_log2: gl.tensor,
    out: gl.tensor,
    lse: gl.tensor,
    is_head_limit: gl.tensor,
    RANK: gl.constexpr,
    CHOSEN: gl.constexpr,
) -> None:
    query_left, query_right, query_rotary = queries
    score_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16])
    out_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 256, 16])
    row_layout: gl.constexpr = gl.SliceLayout(1, score_layout)
    weight_layout: gl.constexpr = gl.DotOperandLayout(0, out_layout, 2)
    token = gl.arange(0, 64, gl.SliceLayout(0, score_layout))
    acc = gl.zeros([64, RANK // 2], gl.float32, out_layout)
    peak = gl.full([64], -1e30, gl.float32, row_layout)
    total = gl.zeros([64], gl.float32, row_layout)
    for i in range(num_pairs):
        phase = i & 1
        zero = i >> 30
        mbarrier.wait(full.index(1), phase)
        score = _score(
            query_left.index(zero),
            query_right.index(zero),
            query_rotary.index(zero),
            left.index(zero + 1),
            right.index(zero + 1),
            rotary.index(zero + 1),
            score_layout,
        )
        is_token = _positions(tokens, first + (2 * i + 1) * 64 + token, stop, CHOSEN) >= 0

        mbarrier.wait(ready.index(0), phase)
        new_peak = peaks.index(0).load(row_layout)
        fade = gl.exp2(peak - new_peak)
        total = total * fade
        peak = new_peak
        acc = acc * gl.convert_layout(fade, gl.SliceLayout(1, out_layout))[:, None]
        acc = warpgroup_mma(rotary.index(zero + 0), right.index(zero + 0), acc, is_async=True)
        score = warpgroup_mma_wait(1, deps=(score,))
        weight, new_peak = _weigh(score, is_token, peak, scale_log2)
        fade = gl.exp2(peak - new_peak)
        total = total * fade + gl.sum(weight, 1)
        peak = new_peak
        weight = weight.to(gl.bfloat16)
        rotary.index(zero + 1).store(weight)
        peaks.index(1).store(peak)
        fence_async_shared()
        gl.thread_barrier()
        mbarrier.arrive(ready.index(1))
        acc = warpgroup_mma_wait(0, deps=(acc,))
        gl.thread_barrier()
        mbarrier.arrive(empty.index(0))
        acc = acc * gl.convert_layout(fade, gl.SliceLayout(1, out_layout))[:, None]
        weight = gl.convert_layout(weight, weight_layout)
        acc = warpgroup_mma(weight, right.index(zero + 1), acc, is_async=True)
        acc, weight = warpgroup_mma_wait(0, deps=(acc, weight))
        gl.thread_barrier()
        mbarrier.arrive(empty.index(1))
    _finish(acc, peak, total, totals, done, out, lse, is_head_limit, 1, RANK)


@gluon.jit
def _finish(
    acc: gl.tensor,
    peak: gl.tensor,
    total: gl.tensor,
    totals: gl.tensor,
    done: gl.tensor,
    out: gl.tensor,
    lse: gl.tensor,
    num_heads: gl.tensor,
    WHICH: gl.constexpr,
    RANK: gl.constexpr,
) -> None:
    """Adds the other's weights to the total, and writes this half of the columns."""
    out_layout: gl.constexpr = acc.type.layout
    row_layout: gl.constexpr = total.type.layout
    totals.index(WHICH).store(total)
    gl.thread_barrier()
    mbarrier.arrive(done.index(WHICH))
    mbarrier.wait(done.index(1 - WHICH), 0)
    total += totals.index(1 - WHICH).load(row_layout)
    head = gl.arange(0, 64, row_layout)
    if WHICH == 0:
        gl.store(lse + head, (peak + gl.log2(total)) * 0.6931471805599453, mask=head < num_heads)
    inverse = gl.convert_layout(1 / gl.where(total == 0, 1.0, total), gl.SliceLayout(1, out_layout))
    acc = acc * inverse[:, None]
    head = gl.arange(0, 64, gl.SliceLayout(1, out_layout))[:, None]
    column = gl.arange(0, RANK // 2, gl.SliceLayout(0, out_layout))[None, :]
    gl.store(out + head * RANK + WHICH * (RANK // 2) + column, acc.to(out.dtype.element_ty), mask=head < num_heads)


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
    RANK: gl.constexpr,
    ROTARY: gl.constexpr,
    CHOSEN: gl.constexpr,
    BLOCK_SIZE: gl.constexpr,
    PARTS: gl.constexpr,
) -> None:
    GROUP_HEADS: gl.constexpr = HEADS // GROUPS
    GROUP_PROGRAMS: gl.constexpr = (GROUP_HEADS + 63) // 64
    ROW_PROGRAMS: gl.constexpr = GROUPS * GROUP_PROGRAMS
    WIDTH: gl.constexpr = RANK + ROTARY
    HALF: gl.constexpr = RANK // 2
    program = gl.program_id(0)
    group = program % ROW_PROGRAMS // GROUP_PROGRAMS
    first_head = program % GROUP_PROGRAMS * 64
    num_heads = gl.minimum(GROUP_HEADS - first_head, 64)
    first_head += group * GROUP_HEADS
    part = program // ROW_PROGRAMS % PARTS
    row = (program // (ROW_PROGRAMS * PARTS)).to(gl.int64)

    half_layout: gl.constexpr = gl.NVMMASharedLayout.get_default_for([64, HALF], gl.bfloat16)
    rotary_layout: gl.constexpr = gl.NVMMASharedLayout.get_default_for([64, ROTARY], gl.bfloat16)
    vector_layout: gl.constexpr = gl.SwizzledSharedLayout(1, 1, 1, [0])
    query_left = gl.allocate_shared_memory(gl.bfloat16, [1, 64, HALF], half_layout)
    query_right = gl.allocate_shared_memory(gl.bfloat16, [1, 64, HALF], half_layout)
    query_rotary = gl.allocate_shared_memory(gl.bfloat16, [1, 64, ROTARY], rotary_layout)
    left = gl.allocate_shared_memory(gl.bfloat16, [2, 64, HALF], half_layout)
    right = gl.allocate_shared_memory(gl.bfloat16, [2, 64, HALF], half_layout)
    rotary = gl.allocate_shared_memory(gl.bfloat16, [2, 64, ROTARY], rotary_layout)
    peaks = gl.allocate_shared_memory(gl.float32, [2, 64], vector_layout)
    totals = gl.allocate_shared_memory(gl.float32, [2, 64], vector_layout)
    full = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    empty = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    ready = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    done = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    for b in gl.static_range(2):
        mbarrier.init(full.index(b), count=128)  # threads that gather
        mbarrier.init(empty.index(b), count=2)
        mbarrier.init(ready.index(b), count=1)
        mbarrier.init(done.index(b), count=1)

    load_layout: gl.constexpr = gl.BlockedLayout([1, 8], [4, 8], [4, 1], [1, 0])
    head = gl.arange(0, 64, gl.SliceLayout(1, load_layout))
    half_column = gl.arange(0, HALF, gl.SliceLayout(0, load_layout))[None, :]
    rotary_column = gl.arange(0, ROTARY, gl.SliceLayout(0, load_layout))[None, :]
    query = query_ptr + (row * HEADS + first_head + head)[:, None] * WIDTH
    is_head = (head < num_heads)[:, None]
    async_copy.async_copy_global_to_shared(query_left.index(0), query + half_column, mask=is_head)
    async_copy.async_copy_global_to_shared(query_right.index(0), query + HALF + half_column, mask=is_head)
    async_copy.async_copy_global_to_shared(query_rotary.index(0), query + RANK + rotary_column, mask=is_head)

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
    out = out_ptr + out_row * RANK
    lse = lse_ptr + out_row
    async_copy.wait_group(0)
    fence_async_shared()
    gl.thread_barrier()
    queries = (query_left, query_right, query_rotary)
    pages = pages_ptr + group * WIDTH
    gl.warp_specialize(
        [
            (
                _gather,
                (
                    pages,
                    tokens,
                    table,
                    first,
                    stop,
                    num_pairs,
                    left,
                    right,
                    rotary,
                    full,
                    empty,
                    RANK,
                    ROTARY,
                    CHOSEN,
                    BLOCK_SIZE,
                    GROUPS,
                ),
            ),
            (
                _attend_even,
                (
                    queries,
                    left,
                    right,
                    rotary,
                    peaks,
                    totals,
                    full,
                    empty,
                    ready,
                    done,
                    tokens,
                    first,
                    stop,
                    num_pairs,
                    scale_log2,
                    out,
                    lse,
                    num_heads,
                    RANK,
                    CHOSEN,
                ),
            ),
            (
                _attend_odd,
                (
                    queries,
                    left,
                    right,
                    rotary,
                    peaks,
                    totals,
                    full,
                    empty,
                    ready,
                    done,
                    tokens,
                    first,
                    stop,
                    num_pairs,
                    scale_log2,
                    out,
                    lse,
                    num_heads,
                    RANK,
                    CHOSEN,
                ),
            ),
        ],
        [4, 4],
        [216, 216],
    )
