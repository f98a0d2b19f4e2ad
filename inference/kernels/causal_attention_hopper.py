"""Causal attention for Hopper alone, in Gluon: two warpgroups attend with 64 rows each, a third brings keys and values.

A warpgroup begins the scores of the next keys and the average of the last values together, in turns with the other, so
that one's exponentials fall into the other's products. Keys are taken from the newest to the oldest: the masked come
first. A program goes on to its next rows while the last ones are written.
H200, 4 x 2048 tokens, 128 heads: 465 to 487 TFLOPS, where plain Triton reaches 345 and cuDNN 550.
Legend: see causal_attention.py.
"""

from __future__ import annotations

import torch
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import async_copy
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from inference.kernels.launch import INTERPRETED, Config, num_multiprocessors

all_meet = getattr(gl, "barrier", None) or gl.thread_barrier  # its name until Triton 3.6

NOPE, ROTARY, VALUE = 128, 64, 128  # what the registers and the shared memory are cut for
BLOCK = 128  # rows of a program, and keys of a step
LN_2 = 0.6931471805599453
CONFIG = Config({"HOPPER": 1}, num_warps=4, num_stages=2)


def serves(widths: tuple[int, int, int], device: torch.device) -> bool:
    """Whether this is the kernel for widths N, P, V; else, and in the interpreter, plain Triton is."""
    if INTERPRETED or device.type != "cuda" or torch.cuda.get_device_capability(device)[0] != 9:
        return False
    return widths == (NOPE, ROTARY, VALUE)


def is_meant(config: Config) -> bool:
    """In the interpreter, which knows no Gluon, plain Triton stands in."""
    return "HOPPER" in config.blocks and not INTERPRETED


def launch(
    query_THX: Tensor,
    key_CHN: Tensor,
    rotary_CP: Tensor,
    value_CHV: Tensor,
    query_start_S1: Tensor,
    key_start_S1: Tensor,
    max_rows: int,
    out_THV: Tensor,
    softmax_scale: float,
    config: Config,
) -> None:
    """See causal_attention.attend_causally, which checked the arguments."""
    widths = (key_CHN.shape[2], rotary_CP.shape[1], value_CHV.shape[2])
    if widths != (NOPE, ROTARY, VALUE):
        raise ValueError(f"widths {widths}: {(NOPE, ROTARY, VALUE)} expected")
    num_pairs = -(-max_rows // (2 * BLOCK))
    num_items = num_pairs * query_THX.shape[1] * (len(query_start_S1) - 1)
    num_programs = min(num_items, num_multiprocessors(query_THX.device))
    _attend_causally[(num_programs,)](
        query_THX,
        key_CHN,
        rotary_CP,
        value_CHV,
        query_start_S1,
        key_start_S1,
        out_THV,
        query_THX.stride(0),
        query_THX.stride(1),
        key_CHN.stride(0),
        key_CHN.stride(1),
        rotary_CP.stride(0),
        value_CHV.stride(0),
        value_CHV.stride(1),
        out_THV.stride(0),
        out_THV.stride(1),
        softmax_scale / LN_2,
        query_THX.shape[1],
        num_pairs,
        num_items,
        REGISTERS=config.blocks.get("REGISTERS", 208),
        num_warps=4,
    )


@gluon.jit
def _tile(item: gl.tensor, half: gl.tensor, starts: gl.tensor, num_pairs: gl.tensor, num_heads: gl.tensor) -> gl.tuple:
    """Blocks of a head's rows are taken in pairs, a long one and a short one: every item is as much work.

    Head, first row of all, rows left, first key of all, keys, blocks of keys (0: no such rows), how many of them are
    masked, and the newest key that the first row sees.
    """
    query_start_ptr, key_start_ptr = starts
    pair = item % num_pairs
    head = item // num_pairs % num_heads
    sequence = item // num_pairs // num_heads
    query_start = gl.load(query_start_ptr + sequence)
    num_rows = gl.load(query_start_ptr + sequence + 1) - query_start
    key_start = gl.load(key_start_ptr + sequence)
    num_keys = gl.load(key_start_ptr + sequence + 1) - key_start
    row_blocks = (num_rows + 127) // 128
    first_row = gl.where(half == 0, row_blocks - 1 - pair, pair) * 128
    newest = num_keys - num_rows + first_row
    num_blocks = (gl.minimum(newest + 128, num_keys) + 127) // 128
    num_masked = num_blocks - (newest + 1) // 128
    num_blocks = gl.where(2 * pair + half < row_blocks, num_blocks, 0)  # of an odd number the middle is taken once
    return head, query_start + first_row, num_rows - first_row, key_start, num_keys, num_blocks, num_masked, newest


@gluon.jit
def _bring(
    pointers: gl.tuple, strides: gl.tuple, starts: gl.tuple, counts: gl.tuple, shared: gl.tuple, barriers: gl.tuple
) -> None:
    query_ptr, key_ptr, rotary_ptr, value_ptr = pointers
    query_stride, query_head_stride, key_stride, key_head_stride, rotary_stride, value_stride, value_head_stride = (
        strides
    )
    num_heads, num_pairs, num_items = counts
    queries, query_rotaries, keys, rotaries, values = shared
    query_full, query_empty, keys_full, keys_empty, values_full, values_empty, turn = barriers
    # Eight neighbours read 128 bytes of a row, which is a row of a swizzled tile.
    layout: gl.constexpr = gl.BlockedLayout([1, 8], [4, 8], [4, 1], [1, 0])
    row = gl.arange(0, 128, gl.SliceLayout(1, layout))
    query_row = gl.arange(0, 64, gl.SliceLayout(1, layout))
    wide = gl.arange(0, 128, gl.SliceLayout(0, layout))[None, :]
    narrow = gl.arange(0, 64, gl.SliceLayout(0, layout))[None, :]
    tiles = 0
    taken = 0  # blocks of keys so far
    for item in range(gl.program_id(0), num_items, gl.num_programs(0)):
        for half in range(2):
            head, first_row, rows_left, first_key, num_keys, num_blocks, num_masked, newest = _tile(
                item, half, starts, num_pairs, num_heads
            )
            key_base = key_ptr + first_key.to(gl.int64) * key_stride + head * key_head_stride
            rotary_base = rotary_ptr + first_key.to(gl.int64) * rotary_stride
            value_base = value_ptr + first_key.to(gl.int64) * value_stride + head * value_head_stride
            for t in range(num_blocks):
                key = (num_blocks - 1 - t) * 128 + row
                is_key = (key < num_keys)[:, None]
                place = key.to(gl.int64)[:, None]
                stage = taken & 1
                parity = ((taken >> 1) & 1) ^ 1
                mbarrier.wait(keys_empty.index(stage), parity)
                async_copy.async_copy_global_to_shared(
                    keys.index(stage), key_base + place * key_stride + wide, mask=is_key
                )
                async_copy.async_copy_global_to_shared(
                    rotaries.index(stage), rotary_base + place * rotary_stride + narrow, mask=is_key
                )
                async_copy.mbarrier_arrive(keys_full.index(stage), increment_count=False)
                if t == 0:
                    mbarrier.wait(query_empty, (tiles & 1) ^ 1)
                    query_base = query_ptr + first_row.to(gl.int64) * query_stride + head * query_head_stride
                    for side in gl.static_range(2):
                        is_row = (query_row + side * 64 < rows_left)[:, None]
                        query = query_base + (query_row + side * 64).to(gl.int64)[:, None] * query_stride
                        async_copy.async_copy_global_to_shared(queries.index(side), query + wide, mask=is_row)
                        async_copy.async_copy_global_to_shared(
                            query_rotaries.index(side), query + 128 + narrow, mask=is_row
                        )
                    async_copy.mbarrier_arrive(query_full, increment_count=False)
                    tiles += 1
                mbarrier.wait(values_empty.index(stage), parity)
                async_copy.async_copy_global_to_shared(
                    values.index(stage), value_base + place * value_stride + wide, mask=is_key
                )
                async_copy.mbarrier_arrive(values_full.index(stage), increment_count=False)
                taken += 1
    async_copy.wait_group(0)


@gluon.jit
def _score(
    shared: gl.tuple, barriers: gl.tuple, block: gl.tensor, SIDE: gl.constexpr, layout: gl.constexpr
) -> gl.tensor:
    """Begins the product with the block of keys that is this program's `block`-th."""
    queries, query_rotaries, keys, rotaries, values = shared
    query_full, query_empty, keys_full, keys_empty, values_full, values_empty, turn = barriers
    stage = block & 1
    mbarrier.wait(keys_full.index(stage), (block >> 1) & 1)
    side = SIDE + (block >> 30)  # SIDE, but descriptors are not kept over the loop
    score = gl.zeros([64, 128], gl.float32, layout)
    score = warpgroup_mma(queries.index(side), keys.index(stage).permute((1, 0)), score, use_acc=False, is_async=True)
    return warpgroup_mma(query_rotaries.index(side), rotaries.index(stage).permute((1, 0)), score, is_async=True)


@gluon.jit
def _average(shared: gl.tuple, barriers: gl.tuple, weight: gl.tensor, acc: gl.tensor, block: gl.tensor) -> gl.tensor:
    """Begins the product with the values of a block."""
    queries, query_rotaries, keys, rotaries, values = shared
    query_full, query_empty, keys_full, keys_empty, values_full, values_empty, turn = barriers
    mbarrier.wait(values_full.index(block & 1), (block >> 1) & 1)
    return warpgroup_mma(weight, values.index(block & 1), acc, is_async=True)


@gluon.jit
def _release(barrier: gl.tensor) -> None:
    all_meet()
    mbarrier.arrive(barrier)


@gluon.jit
def _weigh(
    score: gl.tensor,
    peak: gl.tensor,
    scale_log2: gl.tensor,
    start: gl.tensor,
    last_visible: gl.tensor,
    MASKED: gl.constexpr,
) -> tuple[gl.tensor, gl.tensor]:
    if MASKED:
        key = start + gl.arange(0, 128, gl.SliceLayout(0, score.type.layout))
        score = gl.where(key[None, :] <= last_visible[:, None], score, float("-inf"))
    new_peak = gl.maximum(peak, gl.max(score, 1) * scale_log2)
    return gl.exp2(score * scale_log2 - new_peak[:, None]), new_peak


@gluon.jit
def _step(
    shared: gl.tuple,
    barriers: gl.tuple,
    acc: gl.tensor,
    weight: gl.tensor,
    peak: gl.tensor,
    total: gl.tensor,
    block: gl.tensor,
    steps: gl.tensor,
    start: gl.tensor,
    last_visible: gl.tensor,
    scale_log2: gl.tensor,
    SIDE: gl.constexpr,
    MASKED: gl.constexpr,
) -> tuple[gl.tensor, gl.tensor, gl.tensor, gl.tensor]:
    """A block is scored while the values of the one before are averaged."""
    query_full, query_empty, keys_full, keys_empty, values_full, values_empty, turn = barriers
    layout: gl.constexpr = acc.type.layout
    mbarrier.wait(turn.index(SIDE), (steps + SIDE + 1) & 1)
    score = _score(shared, barriers, block, SIDE, layout)
    acc = _average(shared, barriers, weight, acc, block - 1)
    mbarrier.arrive(turn.index(1 - SIDE))
    score = warpgroup_mma_wait(1, deps=(score,))
    _release(keys_empty.index(block & 1))
    new_weight, new_peak = _weigh(score, peak, scale_log2, start, last_visible, MASKED)
    fade = gl.exp2(peak - new_peak)
    total = total * fade + gl.sum(new_weight, 1)
    narrow = gl.convert_layout(new_weight.to(gl.bfloat16), weight.type.layout)
    acc, weight = warpgroup_mma_wait(0, deps=(acc, weight))
    acc = acc * fade[:, None]
    _release(values_empty.index((block - 1) & 1))
    return acc, narrow, new_peak, total


@gluon.jit
def _attend(
    out_ptr: gl.tensor,
    out_strides: gl.tuple,
    scale_log2: gl.tensor,
    starts: gl.tuple,
    counts: gl.tuple,
    shared: gl.tuple,
    barriers: gl.tuple,
    SIDE: gl.constexpr,
) -> None:
    """64 rows of each block."""
    num_heads, num_pairs, num_items = counts
    out_stride, out_head_stride = out_strides
    query_full, query_empty, keys_full, keys_empty, values_full, values_empty, turn = barriers
    layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 128, 16])
    row = SIDE * 64 + gl.arange(0, 64, gl.SliceLayout(1, layout))
    column = gl.arange(0, 128, gl.SliceLayout(0, layout))[None, :]
    tiles = 0
    taken = 0
    steps = 0
    for item in range(gl.program_id(0), num_items, gl.num_programs(0)):
        for half in range(2):
            head, first_row, rows_left, first_key, num_keys, num_blocks, num_masked, newest = _tile(
                item, half, starts, num_pairs, num_heads
            )
            if num_blocks > 0:
                last_visible = newest + row
                peak = gl.full([64], -1e30, gl.float32, gl.SliceLayout(1, layout))  # finite: a block may be hidden
                acc = gl.zeros([64, 128], gl.float32, layout)
                mbarrier.wait(query_full, tiles & 1)
                score = _score(shared, barriers, taken, SIDE, layout)
                score = warpgroup_mma_wait(0, deps=(score,))
                _release(keys_empty.index(taken & 1))
                new_weight, peak = _weigh(score, peak, scale_log2, (num_blocks - 1) * 128, last_visible, True)
                total = gl.sum(new_weight, 1)
                weight = gl.convert_layout(new_weight.to(gl.bfloat16), gl.DotOperandLayout(0, layout, 2))
                for t in range(1, num_masked):
                    acc, weight, peak, total = _step(
                        shared,
                        barriers,
                        acc,
                        weight,
                        peak,
                        total,
                        taken + t,
                        steps + t - 1,
                        (num_blocks - 1 - t) * 128,
                        last_visible,
                        scale_log2,
                        SIDE,
                        True,
                    )
                for t in range(num_masked, num_blocks):
                    acc, weight, peak, total = _step(
                        shared,
                        barriers,
                        acc,
                        weight,
                        peak,
                        total,
                        taken + t,
                        steps + t - 1,
                        (num_blocks - 1 - t) * 128,
                        last_visible,
                        scale_log2,
                        SIDE,
                        False,
                    )
                _release(query_empty)
                last = taken + num_blocks - 1
                acc = _average(shared, barriers, weight, acc, last)
                acc, weight = warpgroup_mma_wait(0, deps=(acc, weight))
                _release(values_empty.index(last & 1))
                acc = acc * (1 / total)[:, None]
                place = out_ptr + (first_row + row).to(gl.int64)[:, None] * out_stride + head * out_head_stride + column
                gl.store(place, acc.to(out_ptr.dtype.element_ty), mask=(row < rows_left)[:, None])
                tiles += 1
                taken += num_blocks
                steps += num_blocks - 1


@gluon.jit
def _attend_causally(
    query_ptr: gl.tensor,
    key_ptr: gl.tensor,
    rotary_ptr: gl.tensor,
    value_ptr: gl.tensor,
    query_start_ptr: gl.tensor,
    key_start_ptr: gl.tensor,
    out_ptr: gl.tensor,
    query_stride: gl.tensor,
    query_head_stride: gl.tensor,
    key_stride: gl.tensor,
    key_head_stride: gl.tensor,
    rotary_stride: gl.tensor,
    value_stride: gl.tensor,
    value_head_stride: gl.tensor,
    out_stride: gl.tensor,
    out_head_stride: gl.tensor,
    scale_log2: gl.tensor,
    num_heads: gl.tensor,
    num_pairs: gl.tensor,
    num_items: gl.tensor,
    REGISTERS: gl.constexpr,
) -> None:
    tile: gl.constexpr = gl.NVMMASharedLayout(128, 16, 2)
    queries = gl.allocate_shared_memory(gl.bfloat16, [2, 64, 128], tile)
    query_rotaries = gl.allocate_shared_memory(gl.bfloat16, [2, 64, 64], tile)
    keys = gl.allocate_shared_memory(gl.bfloat16, [2, 128, 128], tile)
    rotaries = gl.allocate_shared_memory(gl.bfloat16, [2, 128, 64], tile)
    values = gl.allocate_shared_memory(gl.bfloat16, [2, 128, 128], tile)
    query_full = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    query_empty = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    keys_full = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    keys_empty = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    values_full = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    values_empty = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    turn = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    mbarrier.init(query_full, count=128)  # threads that bring
    mbarrier.init(query_empty, count=2)
    for stage in gl.static_range(2):
        mbarrier.init(keys_full.index(stage), count=128)
        mbarrier.init(values_full.index(stage), count=128)
        mbarrier.init(keys_empty.index(stage), count=2)
        mbarrier.init(values_empty.index(stage), count=2)
        mbarrier.init(turn.index(stage), count=1)
    all_meet()
    pointers = (query_ptr, key_ptr, rotary_ptr, value_ptr)
    strides = (
        query_stride,
        query_head_stride,
        key_stride,
        key_head_stride,
        rotary_stride,
        value_stride,
        value_head_stride,
    )
    starts = (query_start_ptr, key_start_ptr)
    counts = (num_heads, num_pairs, num_items)
    shared = (queries, query_rotaries, keys, rotaries, values)
    barriers = (query_full, query_empty, keys_full, keys_empty, values_full, values_empty, turn)
    out_strides = (out_stride, out_head_stride)
    gl.warp_specialize(
        [
            (_bring, (pointers, strides, starts, counts, shared, barriers)),
            (_attend, (out_ptr, out_strides, scale_log2, starts, counts, shared, barriers, gl.constexpr(0))),
            (_attend, (out_ptr, out_strides, scale_log2, starts, counts, shared, barriers, gl.constexpr(1))),
        ],
        [4, 4],
        [REGISTERS, REGISTERS],
    )
