"""Absorbed attention over paged latents: what the sparse and the dense kernel share.

A query meets the cached latent and its rotary key directly, or the rotary key alone (X = P); the latent is the value
too, so a token is read once for both products. A program holds the heads of one group of one row, 64 at most: their
fp32 outputs fill the registers of eight warps. Programs of one row lie next to each other, so that L2 serves all but
the first. Where rows are few, each is cut into parts, and a second kernel joins them by their log-sum-exp.
Legend: T rows, H heads, G groups, R latent rank, P rotary width, W = R + P, X query width (W or P), K tokens of a row,
S sequences, B blocks of the longest, N slots of the cache, Y bytes of an FP8 slot, D parts of a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.launch import Config, num_multiprocessors

FP8 = torch.float8_e4m3fn
FP8_GROUP = 128  # values of a latent that share a scale
MAX_HEADS = 64  # of a program
MIN_HEADS = 16  # rows of the smallest matrix product; absent heads are zeros
LN_2 = 0.6931471805599453


@dataclass(frozen=True, slots=True)
class Shape:
    """What is fixed when a kernel is compiled."""

    num_rows: int
    num_heads: int
    num_groups: int
    rank: int
    rotary: int
    absorbed: bool  # X = W
    fp8: bool

    @property
    def heads_per_group(self) -> int:
        return self.num_heads // self.num_groups

    @property
    def block_heads(self) -> int:
        return min(MAX_HEADS, max(MIN_HEADS, 1 << (self.heads_per_group - 1).bit_length()))

    @property
    def programs_per_row(self) -> int:
        return self.num_groups * -(-self.heads_per_group // self.block_heads)


def latent_bytes(rank: int, rotary: int) -> int:
    return rank + 4 * (rank // FP8_GROUP) + 2 * rotary


def check_shape(query_THX: Tensor, pages: Tensor, rank: int) -> Shape:
    """Of queries over pages (N, G, W), or (N, Y) uint8 where the cache is FP8."""
    if query_THX.dim() != 3 or not query_THX.is_contiguous():
        raise ValueError(f"queries {tuple(query_THX.shape)}: (rows, heads, width), contiguous, expected")
    if not pages.is_contiguous():
        raise ValueError("pages must be contiguous")
    num_rows, num_heads, width = query_THX.shape
    if fp8 := pages.dtype == torch.uint8:
        rotary = (pages.shape[1] - rank - 4 * (rank // FP8_GROUP)) // 2
        num_groups = 1
        if rank % FP8_GROUP or latent_bytes(rank, rotary) != pages.shape[1]:
            raise ValueError(f"rank = {rank}: FP8 slots of {pages.shape[1]} bytes need a multiple of {FP8_GROUP}")
    else:
        num_groups, rotary = pages.shape[1], pages.shape[2] - rank
    for name, value in (("rank", rank), ("rotary width", rotary)):
        if value < 16 or value & (value - 1):
            raise ValueError(f"{name} = {value}: a power of two, 16 at least, expected")
    if width not in (rotary, rank + rotary):
        raise ValueError(f"query width = {width}: {rotary} or {rank + rotary} expected")
    if num_heads % num_groups:
        raise ValueError(f"{num_heads} heads: a multiple of {num_groups} groups expected")
    return Shape(num_rows, num_heads, num_groups, rank, rotary, width != rotary, fp8)


def num_parts(shape: Shape, num_tokens: int, block_tokens: int, device: torch.device) -> int:
    """Of a row, so that its programs take the fewest waves; each part costs about two blocks to begin and to join."""
    multiprocessors = num_multiprocessors(device)
    num_blocks = triton.cdiv(num_tokens, block_tokens)
    best, least = 1, float("inf")
    parts = 1
    while parts <= max(1, min(64, num_blocks)):
        waves = triton.cdiv(shape.num_rows * shape.programs_per_row * parts, multiprocessors)
        cost = waves * (triton.cdiv(num_blocks, parts) + (2 if parts > 1 else 0))
        if cost < 0.97 * least:
            best, least = parts, cost
        parts *= 2
    return best


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
    """`tokens` are chosen positions (T, K), or of a row the number of its first tokens that it sees (T)."""
    num_tokens = max(1, num_tokens)
    block_tokens = config.blocks.get("BLOCK_N", 32)
    parts = config.blocks.get("PARTS") or num_parts(shape, num_tokens, block_tokens, query_THX.device)
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
        RANK=shape.rank,
        ROTARY=shape.rotary,
        ABSORBED=shape.absorbed,
        FP8=shape.fp8,
        CHOSEN=chosen,
        BLOCK_SIZE=block_size,
        BLOCK_H=shape.block_heads,
        PARTS=parts,
        BLOCK_N=block_tokens,
        num_warps=config.num_warps,
        num_stages=config.num_stages,
    )
    if parts > 1:
        join_parts(outs, lses, out_THR, lse_TH)


def room_for_parts(parts: int, out_THR: Tensor, lse_TH: Tensor) -> tuple[Tensor, Tensor]:
    """Where parts write: fp32 (T, D, H, R) and (T, D, H); one part writes what is asked for."""
    if parts == 1:
        return out_THR, lse_TH
    num_rows, num_heads, rank = out_THR.shape
    outs_TDHR = out_THR.new_empty(num_rows, parts, num_heads, rank, dtype=torch.float32)
    return outs_TDHR, outs_TDHR.new_empty(num_rows, parts, num_heads)


def join_parts(outs_TDHR: Tensor, lses_TDH: Tensor, out_THR: Tensor, lse_TH: Tensor) -> None:
    """Averages of parts, weighted by their sums."""
    num_rows, parts, num_heads, rank = outs_TDHR.shape
    _join_parts[(num_rows * num_heads,)](
        outs_TDHR,
        lses_TDH,
        out_THR,
        lse_TH,
        HEADS=num_heads,
        RANK=rank,
        PARTS=parts,
        BLOCK_D=triton.next_power_of_2(parts),
        num_warps=4,
    )


@triton.jit
def _slots(
    position: tl.tensor,
    table: tl.tensor,
    BLOCK_SIZE: tl.constexpr,
) -> tl.tensor:
    block = tl.load(table + position // BLOCK_SIZE, mask=position >= 0, other=0)
    return tl.where(position >= 0, block * BLOCK_SIZE + position % BLOCK_SIZE, -1)


@triton.jit
def _positions(
    tokens: tl.tensor,
    offset: tl.tensor,
    stop: tl.tensor,
    CHOSEN: tl.constexpr,
) -> tl.tensor:
    if CHOSEN:
        position = tl.load(tokens + offset, mask=offset < stop, other=-1)
    else:
        position = tl.where(offset < stop, offset, -1)
    return position


@triton.jit
def _attend_part(
    query_ptr: tl.tensor,
    pages_ptr: tl.tensor,
    tokens_ptr: tl.tensor,
    tables_ptr: tl.tensor,
    sequence_ptr: tl.tensor,
    out_ptr: tl.tensor,
    lse_ptr: tl.tensor,
    num_tokens: tl.tensor,
    table_stride: tl.tensor,
    scale_log2: tl.tensor,
    HEADS: tl.constexpr,
    GROUPS: tl.constexpr,
    RANK: tl.constexpr,
    ROTARY: tl.constexpr,
    ABSORBED: tl.constexpr,
    FP8: tl.constexpr,
    CHOSEN: tl.constexpr,
    BLOCK_SIZE: tl.constexpr,
    PARTS: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_N: tl.constexpr,
) -> None:
    GROUP_HEADS: tl.constexpr = HEADS // GROUPS
    GROUP_PROGRAMS: tl.constexpr = (GROUP_HEADS + BLOCK_H - 1) // BLOCK_H
    ROW_PROGRAMS: tl.constexpr = GROUPS * GROUP_PROGRAMS
    QUERY_WIDTH: tl.constexpr = RANK + ROTARY if ABSORBED else ROTARY
    program = tl.program_id(0)
    group = program % ROW_PROGRAMS // GROUP_PROGRAMS
    head = program % GROUP_PROGRAMS * BLOCK_H + tl.arange(0, BLOCK_H)
    is_head = (head < GROUP_HEADS) | (GROUP_HEADS % BLOCK_H == 0)
    head += group * GROUP_HEADS
    part = program // ROW_PROGRAMS % PARTS
    row = (program // (ROW_PROGRAMS * PARTS)).to(tl.int64)
    latent_offset = tl.arange(0, RANK)
    rotary_offset = tl.arange(0, ROTARY)
    token_offset = tl.arange(0, BLOCK_N)

    query = query_ptr + (row * HEADS + head)[:, None] * QUERY_WIDTH
    query_rotary = tl.load(query + QUERY_WIDTH - ROTARY + rotary_offset[None, :], mask=is_head[:, None], other=0.0)
    if ABSORBED:
        query_latent = tl.load(query + latent_offset[None, :], mask=is_head[:, None], other=0.0)

    table = tables_ptr + tl.load(sequence_ptr + row).to(tl.int64) * table_stride
    if CHOSEN:
        tokens_ptr += row * num_tokens
    else:
        num_tokens = tl.load(tokens_ptr + row)
    part_tokens = tl.cdiv(tl.cdiv(num_tokens, PARTS), BLOCK_N) * BLOCK_N
    first = part * part_tokens
    stop = tl.minimum(first + part_tokens, num_tokens)

    acc = tl.zeros([BLOCK_H, RANK], tl.float32)
    peak = tl.full([BLOCK_H], -1e30, tl.float32)  # finite, so that no token at all gives no NaN
    total = tl.zeros([BLOCK_H], tl.float32)
    # Slots are read a block ahead, so that no product waits for three reads in a row.
    slot = _slots(_positions(tokens_ptr, first + token_offset, stop, CHOSEN), table, BLOCK_SIZE)
    for start in tl.range(first, stop, BLOCK_N):
        is_token = slot >= 0
        # Where no token stands zeros are read, since what a slot held before may be NaN.
        if FP8:
            SLOT_BYTES: tl.constexpr = RANK + RANK // 32 + 2 * ROTARY
            page = pages_ptr + slot.to(tl.int64)[:, None] * SLOT_BYTES
            values = tl.load(
                page.to(tl.pointer_type(tl.float8e4nv)) + latent_offset[None, :], mask=is_token[:, None], other=0.0
            )
            scale_offset = tl.arange(0, RANK // 128)
            scale = tl.load(
                (page + RANK).to(tl.pointer_type(tl.float32)) + scale_offset[None, :], mask=is_token[:, None], other=0.0
            )
            values = values.to(tl.float32).reshape(BLOCK_N, RANK // 128, 128) * scale[:, :, None]
            latent = values.reshape(BLOCK_N, RANK).to(query_rotary.dtype)
            rotary = tl.load(
                (page + RANK + RANK // 32).to(tl.pointer_type(tl.bfloat16)) + rotary_offset[None, :],
                mask=is_token[:, None],
                other=0.0,
            ).to(query_rotary.dtype)
        else:
            WIDTH: tl.constexpr = RANK + ROTARY
            page = pages_ptr + group * WIDTH + slot.to(tl.int64)[:, None] * (GROUPS * WIDTH)
            latent = tl.load(page + latent_offset[None, :], mask=is_token[:, None], other=0.0)
            rotary = tl.load(page + RANK + rotary_offset[None, :], mask=is_token[:, None], other=0.0)
        score = tl.dot(query_rotary, tl.trans(rotary))
        if ABSORBED:
            score = tl.dot(query_latent, tl.trans(latent), score)
        score = tl.where(is_token[None, :], score * scale_log2, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(score, 1))
        fade = tl.exp2(peak - new_peak)
        weight = tl.exp2(score - new_peak[:, None])
        total = total * fade + tl.sum(weight, 1)
        acc = tl.dot(weight.to(latent.dtype), latent, acc * fade[:, None])
        peak = new_peak
        position = _positions(tokens_ptr, start + BLOCK_N + token_offset, stop, CHOSEN)
        slot = _slots(position, table, BLOCK_SIZE)

    # No token is left: slots are -1. Added so that places to write to take no registers while the loop runs: 24 bytes
    # of them were spilled.
    row += tl.max(slot, 0) + 1
    out_row = (row * PARTS + part) * HEADS + head
    out = acc * (1 / tl.where(total == 0, 1.0, total))[:, None]
    out_place = out_ptr + out_row[:, None] * RANK + latent_offset[None, :]
    tl.store(out_place, out.to(out_ptr.dtype.element_ty), mask=is_head[:, None])
    tl.store(lse_ptr + out_row, (peak + tl.log2(total)) * 0.6931471805599453, mask=is_head)


@triton.jit
def _join_parts(
    outs_ptr: tl.tensor,
    lses_ptr: tl.tensor,
    out_ptr: tl.tensor,
    lse_ptr: tl.tensor,
    HEADS: tl.constexpr,
    RANK: tl.constexpr,
    PARTS: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    program = tl.program_id(0)
    row = (program // HEADS).to(tl.int64)
    head = program % HEADS
    part = tl.arange(0, BLOCK_D)
    offset = tl.arange(0, RANK)
    lse = tl.load(lses_ptr + (row * PARTS + part) * HEADS + head, mask=part < PARTS, other=float("-inf"))
    peak = tl.max(lse, 0)
    shift = tl.where(peak == float("-inf"), 0.0, peak)
    weight = tl.exp(lse - shift)
    total = tl.sum(weight, 0)
    acc = tl.zeros([RANK], tl.float32)
    for i in tl.static_range(PARTS):
        place = (row * PARTS + i) * HEADS + head
        acc += tl.load(outs_ptr + place * RANK + offset) * tl.exp(tl.load(lses_ptr + place) - shift)
    tl.store(
        out_ptr + (row * HEADS + head) * RANK + offset,
        (acc / tl.where(total == 0, 1.0, total)).to(out_ptr.dtype.element_ty),
    )
    tl.store(lse_ptr + row * HEADS + head, peak + tl.log(total))


def plain_latents(pages: Tensor, slots: Tensor, rank: int) -> Tensor:
    """Of these slots, fp64 (..., G, W)."""
    rows = pages[slots.clamp_min(0).long()]
    if pages.dtype != torch.uint8:
        return rows.double()
    num_scales = rank // FP8_GROUP
    values = rows[..., :rank].contiguous().view(FP8).double()
    scale = rows[..., rank : rank + 4 * num_scales].contiguous().view(torch.float32).double()
    rotary = rows[..., rank + 4 * num_scales :].contiguous().view(torch.bfloat16).double()
    return torch.cat((values * scale.repeat_interleave(FP8_GROUP, -1), rotary), -1)[..., None, :]


def plain_attend(
    query_THX: Tensor, pages: Tensor, slots_TK: Tensor, rank: int, softmax_scale: float
) -> tuple[Tensor, Tensor]:
    """Out (T, H, R) and log-sum-exp (T, H), both fp64; a slot below 0 is no token."""
    latent_TKGW = plain_latents(pages, slots_TK, rank).masked_fill((slots_TK < 0)[..., None, None], 0)
    query_TGHX = torch.unflatten(query_THX.double(), 1, (latent_TKGW.shape[2], -1))
    key_TKGX = latent_TKGW[..., latent_TKGW.shape[-1] - query_THX.shape[-1] :]
    scores = torch.einsum("tghx,tkgx->tghk", query_TGHX, key_TKGX) * softmax_scale
    scores = scores.masked_fill((slots_TK < 0)[:, None, None], -torch.inf)
    lse_TGH = scores.logsumexp(-1)
    weights = scores.softmax(-1).nan_to_num(0.0)  # of a row without a token
    out = torch.einsum("tghk,tkgr->tghr", weights, latent_TKGW[..., :rank])
    return out.flatten(1, 2), lse_TGH.flatten(1, 2)


def plain_slots(position_TK: Tensor, block_tables_SB: Tensor, sequence_T: Tensor, block_size: int) -> Tensor:
    """Where positions lie in the cache; -1 stays."""
    position_TK = position_TK.long()
    blocks_TK = block_tables_SB[sequence_T.long()].long().gather(1, position_TK.clamp_min(0) // block_size)
    return torch.where(position_TK < 0, -1, blocks_TK * block_size + position_TK % block_size)
