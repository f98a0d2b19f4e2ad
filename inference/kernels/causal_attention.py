"""Multi-head attention over keys and values spelled out: prefill of contexts below index_topk, where absorbing costs
3.4 times the operations.

Sequences lie one after the other; a sequence's rows are its newest positions. All heads share the rotary key.
Legend: T rows, C keys, S sequences, H heads, N width without position, P rotary width, V value width.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels import causal_attention_hopper as hopper
from inference.kernels.launch import Config

CONFIG = Config({"BLOCK_M": 128, "BLOCK_C": 128}, num_warps=8, num_stages=2)
LN_2 = 0.6931471805599453


def attend_causally(
    query_THX: Tensor,
    key_CHN: Tensor,
    rotary_CP: Tensor,
    value_CHV: Tensor,
    query_start_S1: Tensor,
    key_start_S1: Tensor,
    max_rows: int,
    *,
    softmax_scale: float,
    out: Tensor | None = None,
    config: Config | None = None,
) -> Tensor:
    """(T, H, V) in the queries' type; X = N + P. Starts are int32 offsets into T and C, one more than sequences.

    Keys and values may be views, as of kv_b's output, whose last dimension is contiguous. `max_rows` is the longest
    sequence's; a sequence has at least as many keys as rows.
    """
    num_rows, num_heads, width = query_THX.shape
    nope, rotary, value = key_CHN.shape[2], rotary_CP.shape[1], value_CHV.shape[2]
    if width != nope + rotary:
        raise ValueError(f"query width = {width}: {nope} + {rotary} expected")
    for name, size in (("key width", nope), ("rotary width", rotary), ("value width", value)):
        if size < 16 or size & (size - 1):
            raise ValueError(f"{name} = {size}: a power of two, 16 at least, expected")
    if any(x.stride(-1) != 1 for x in (query_THX, key_CHN, rotary_CP, value_CHV)):
        raise ValueError("the last dimension must be contiguous")
    out = query_THX.new_empty(num_rows, num_heads, value) if out is None else out
    given = (query_THX, key_CHN, rotary_CP, value_CHV, query_start_S1, key_start_S1)
    if config is None:
        config = hopper.CONFIG if hopper.serves((nope, rotary, value), query_THX.device) else CONFIG
    if hopper.is_meant(config):
        hopper.launch(*given, max_rows, out, softmax_scale, config)
        return out
    if "HOPPER" in config.blocks:
        config = CONFIG
    grid = (triton.cdiv(max_rows, config.blocks["BLOCK_M"]), num_heads, len(query_start_S1) - 1)
    _attend_causally[grid](
        *given,
        out,
        query_THX.stride(0),
        query_THX.stride(1),
        key_CHN.stride(0),
        key_CHN.stride(1),
        rotary_CP.stride(0),
        value_CHV.stride(0),
        value_CHV.stride(1),
        out.stride(0),
        out.stride(1),
        softmax_scale / LN_2,
        NOPE=nope,
        ROTARY=rotary,
        VALUE=value,
        **config.options,
    )
    return out


@triton.jit
def _average(
    acc: tl.tensor,
    peak: tl.tensor,
    total: tl.tensor,
    query_nope: tl.tensor,
    query_rotary: tl.tensor,
    key_ptr: tl.tensor,
    rotary_ptr: tl.tensor,
    value_ptr: tl.tensor,
    key_stride: tl.tensor,
    rotary_stride: tl.tensor,
    value_stride: tl.tensor,
    first: tl.tensor,
    stop: tl.tensor,
    num_keys: tl.tensor,
    last_visible: tl.tensor,
    scale_log2: tl.tensor,
    MASKED: tl.constexpr,
    NOPE: tl.constexpr,
    ROTARY: tl.constexpr,
    VALUE: tl.constexpr,
    BLOCK_C: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Takes keys [first, stop) in; where MASKED a row sees those up to its last_visible."""
    for start in tl.range(first, stop, BLOCK_C):
        key = start + tl.arange(0, BLOCK_C)
        is_key = (key < num_keys)[:, None]
        place = key.to(tl.int64)[:, None]
        nope_offset, rotary_offset, value_offset = tl.arange(0, NOPE), tl.arange(0, ROTARY), tl.arange(0, VALUE)
        key_place = key_ptr + place * key_stride + nope_offset[None, :]
        rotary_place = rotary_ptr + place * rotary_stride + rotary_offset[None, :]
        value_place = value_ptr + place * value_stride + value_offset[None, :]
        if MASKED:
            key_nope = tl.load(key_place, mask=is_key, other=0.0)
            key_rotary = tl.load(rotary_place, mask=is_key, other=0.0)
            value = tl.load(value_place, mask=is_key, other=0.0)
        else:
            key_nope = tl.load(key_place)
            key_rotary = tl.load(rotary_place)
            value = tl.load(value_place)
        score = tl.dot(query_nope, tl.trans(key_nope))
        score = tl.dot(query_rotary, tl.trans(key_rotary), score)
        score *= scale_log2
        if MASKED:
            score = tl.where(key[None, :] <= last_visible[:, None], score, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(score, 1))
        fade = tl.exp2(peak - new_peak)
        weight = tl.exp2(score - new_peak[:, None])
        total = total * fade + tl.sum(weight, 1)
        acc = tl.dot(weight.to(value.dtype), value, acc * fade[:, None])
        peak = new_peak
    return acc, peak, total


@triton.jit
def _attend_causally(
    query_ptr: tl.tensor,
    key_ptr: tl.tensor,
    rotary_ptr: tl.tensor,
    value_ptr: tl.tensor,
    query_start_ptr: tl.tensor,
    key_start_ptr: tl.tensor,
    out_ptr: tl.tensor,
    query_stride: tl.tensor,
    query_head_stride: tl.tensor,
    key_stride: tl.tensor,
    key_head_stride: tl.tensor,
    rotary_stride: tl.tensor,
    value_stride: tl.tensor,
    value_head_stride: tl.tensor,
    out_stride: tl.tensor,
    out_head_stride: tl.tensor,
    scale_log2: tl.tensor,
    NOPE: tl.constexpr,
    ROTARY: tl.constexpr,
    VALUE: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_C: tl.constexpr,
) -> None:
    sequence, head = tl.program_id(2), tl.program_id(1)
    block = tl.num_programs(0) - 1 - tl.program_id(0)  # the longest rows begin first
    query_start = tl.load(query_start_ptr + sequence)
    num_rows = tl.load(query_start_ptr + sequence + 1) - query_start
    key_start = tl.load(key_start_ptr + sequence)
    num_keys = tl.load(key_start_ptr + sequence + 1) - key_start
    row = block * BLOCK_M + tl.arange(0, BLOCK_M)
    is_row = (row < num_rows)[:, None]
    if block * BLOCK_M >= num_rows:
        return
    past = num_keys - num_rows
    place = (query_start + row).to(tl.int64)[:, None]
    query = query_ptr + place * query_stride + head * query_head_stride
    query_nope = tl.load(query + tl.arange(0, NOPE)[None, :], mask=is_row, other=0.0)
    query_rotary = tl.load(query + NOPE + tl.arange(0, ROTARY)[None, :], mask=is_row, other=0.0)
    key_ptr += key_start.to(tl.int64) * key_stride + head * key_head_stride
    rotary_ptr += key_start.to(tl.int64) * rotary_stride
    value_ptr += key_start.to(tl.int64) * value_stride + head * value_head_stride

    acc = tl.zeros([BLOCK_M, VALUE], tl.float32)
    peak = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    last_visible = past + row
    # All rows see keys [0, seen); each row sees some of [seen, stop).
    seen = (past + block * BLOCK_M + 1) // BLOCK_C * BLOCK_C
    stop = tl.minimum(past + (block + 1) * BLOCK_M, num_keys)
    acc, peak, total = _average(
        acc,
        peak,
        total,
        query_nope,
        query_rotary,
        key_ptr,
        rotary_ptr,
        value_ptr,
        key_stride,
        rotary_stride,
        value_stride,
        0,
        seen,
        num_keys,
        last_visible,
        scale_log2,
        False,
        NOPE,
        ROTARY,
        VALUE,
        BLOCK_C,
    )
    acc, peak, total = _average(
        acc,
        peak,
        total,
        query_nope,
        query_rotary,
        key_ptr,
        rotary_ptr,
        value_ptr,
        key_stride,
        rotary_stride,
        value_stride,
        seen,
        stop,
        num_keys,
        last_visible,
        scale_log2,
        True,
        NOPE,
        ROTARY,
        VALUE,
        BLOCK_C,
    )
    out_place = out_ptr + place * out_stride + head * out_head_stride + tl.arange(0, VALUE)[None, :]
    tl.store(out_place, (acc * (1 / total)[:, None]).to(out_ptr.dtype.element_ty), mask=is_row)


def plain_attend_causally(
    query_THX: Tensor,
    key_CHN: Tensor,
    rotary_CP: Tensor,
    value_CHV: Tensor,
    query_start_S1: Tensor,
    key_start_S1: Tensor,
    *,
    softmax_scale: float,
) -> Tensor:
    """The same in fp64."""
    key_CHX = torch.cat((key_CHN, rotary_CP[:, None].expand(-1, key_CHN.shape[1], -1)), -1).double()
    starts, key_starts = query_start_S1.tolist(), key_start_S1.tolist()
    outs = []
    for s in range(len(starts) - 1):
        rows, keys = slice(starts[s], starts[s + 1]), slice(key_starts[s], key_starts[s + 1])
        scores = torch.einsum("thx,chx->htc", query_THX[rows].double(), key_CHX[keys]) * softmax_scale
        num_rows, num_keys = scores.shape[1:]
        hidden = torch.ones(num_rows, num_keys, dtype=torch.bool, device=scores.device).triu(num_keys - num_rows + 1)
        weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        outs.append(torch.einsum("htc,chv->thv", weights, value_CHV[keys].double()))
    return torch.cat(outs)
