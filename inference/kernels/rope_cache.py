"""What happens to MLA's queries and latents between the projections and attention: the latent is normed, rotary parts
are turned by their positions, and latent and rotary key go into the paged cache.

Says again what inference/model/rope.py (pairs of neighbours), norm.py, cache.py and fp8_cache.py say.
Legend: T tokens, H heads, G latent groups, R latent rank, P rotary width, C positions.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.e4m3 import invert_power_of_two, quantize_group, round_to_e4m3, round_to_model, to_bf16
from inference.kernels.launch import BF16, Config
from inference.quantization import FP8, FP8_BLOCK, quantize_groups, round_groups

# TOKENS rows of latents or HEADS of one token's heads make a program.
CONFIGS = tuple(
    Config({"TOKENS": tokens, "HEADS": heads}, num_warps=warps, num_stages=1)
    for tokens, heads, warps in ((2, 64, 2), (4, 64, 4), (4, 32, 4), (8, 64, 8), (1, 32, 1), (2, 32, 2))
)


def turns_of(factors: Tensor) -> Tensor:
    """fp32 (C, 2, P/2), cosines and then sines, from the complex factors of positions, (C, 1, P/2)."""
    return torch.view_as_real(factors[:, 0]).transpose(1, 2).contiguous()


def rotate_and_write(
    query_THP: Tensor,
    latent_TGR: Tensor,
    rotary_TGP: Tensor,
    positions_T: Tensor,
    slots_T: Tensor,
    turns_C2P: Tensor,
    pages: Tensor,
    *,
    norm_weight_R: Tensor | None = None,
    eps: float = 1e-6,
    rounds: bool = False,
    out_THP: Tensor | None = None,
    config: Config = CONFIGS[0],
) -> None:
    """Writes turned queries to `out_THP` (without it, in place) and the tokens to their slots; slot -1 is no token.

    pages: (slots, G, R + P) in the model's type, its latents rounded to what FP8 holds where it `rounds`; or uint8
    (slots, 656), at full size, as fp8_cache.py describes it. Any tensor may be cut from a wider one.
    """
    out_THP = query_THP if out_THP is None else out_THP
    (num_tokens, num_heads, width), (_, num_groups, rank) = query_THP.shape, latent_TGR.shape
    in_fp8 = pages.dtype == torch.uint8
    _check(query_THP, out_THP, latent_TGR, rotary_TGP, positions_T, slots_T, turns_C2P, pages)
    if num_tokens == 0:
        return
    tokens, heads = config.blocks["TOKENS"], min(config.blocks["HEADS"], triton.next_power_of_2(num_heads))
    query_programs = num_tokens * triton.cdiv(num_heads, heads)
    _rotate_and_write[(query_programs + triton.cdiv(num_tokens * num_groups, tokens),)](
        query_THP,
        out_THP,
        latent_TGR,
        rotary_TGP,
        positions_T,
        slots_T,
        turns_C2P,
        norm_weight_R,
        pages.view(FP8) if in_fp8 else pages,
        pages.view(torch.float32) if in_fp8 else None,
        pages.view(torch.bfloat16) if in_fp8 else pages,
        eps,
        num_tokens * num_groups,
        query_programs,
        query_THP.stride(0),
        query_THP.stride(1),
        out_THP.stride(0),
        out_THP.stride(1),
        latent_TGR.stride(0),
        latent_TGR.stride(1),
        rotary_TGP.stride(0),
        rotary_TGP.stride(1),
        NUM_HEADS=num_heads,
        NUM_GROUPS=num_groups,
        RANK=rank,
        WIDTH=width,
        SIZE=min(FP8_BLOCK, triton.next_power_of_2(rank)),
        PARTS=triton.next_power_of_2(triton.cdiv(rank, FP8_BLOCK)),
        IN_FP8=in_fp8,
        ROUNDS=rounds,
        TOKENS=tokens,
        HEADS=heads,
        num_warps=config.num_warps,
        num_stages=config.num_stages,
        enable_fp_fusion=False,  # x cos - y sin is rounded after each product, as PyTorch does
    )


def plain_rotate(x_THP: Tensor, positions_T: Tensor, turns_C2P: Tensor) -> Tensor:
    """Pairs (2i, 2i+1); each product and each sum rounded to fp32. Keeps the type of `x_THP`."""
    cos_T1P, sin_T1P = turns_C2P[positions_T.long()].transpose(0, 1)[:, :, None]
    even, odd = torch.unflatten(x_THP.float(), -1, (-1, 2)).unbind(-1)
    turned = torch.stack((even * cos_T1P - odd * sin_T1P, even * sin_T1P + odd * cos_T1P), dim=-1)
    return turned.flatten(-2).to(x_THP.dtype)


def plain_write(
    latent_TGR: Tensor,
    rotary_TGP: Tensor,
    slots_T: Tensor,
    pages: Tensor,
    *,
    norm_weight_R: Tensor | None = None,
    eps: float = 1e-6,
    rounds: bool = False,
) -> None:
    """Rotary keys are turned already."""
    if norm_weight_R is not None:
        wide = latent_TGR.float()
        inverse = (wide.double().square().mean(dim=-1, keepdim=True) + eps).rsqrt().float()
        latent_TGR = (wide * inverse * norm_weight_R.float()).to(BF16)
    is_token_T = slots_T >= 0
    slots_T, latent_TGR, rotary_TGP = slots_T[is_token_T].long(), latent_TGR[is_token_T], rotary_TGP[is_token_T]
    if pages.dtype != torch.uint8:
        latent_TGR = round_groups(latent_TGR) if rounds else latent_TGR
        pages[slots_T] = torch.cat((latent_TGR, rotary_TGP), dim=-1).to(pages.dtype)
        return
    values, scale = quantize_groups(latent_TGR[:, 0])
    parts = values.flatten(1), scale, rotary_TGP[:, 0].to(torch.bfloat16)
    pages[slots_T] = torch.cat([part.contiguous().view(torch.uint8) for part in parts], dim=1)


def _check(
    query_THP: Tensor,
    out_THP: Tensor,
    latent_TGR: Tensor,
    rotary_TGP: Tensor,
    positions_T: Tensor,
    slots_T: Tensor,
    turns_C2P: Tensor,
    pages: Tensor,
) -> None:
    (num_tokens, _, width), (_, num_groups, rank) = query_THP.shape, latent_TGR.shape
    if width & (width - 1):
        raise ValueError(f"rotary width = {width}: a power of two expected")
    if pages.dtype == torch.uint8:
        if num_groups != 1 or rank % FP8_BLOCK:
            raise ValueError(f"{num_groups} latents of {rank}: FP8 pages hold one, of a multiple of {FP8_BLOCK}")
        page: tuple[int, ...] = (rank + rank // FP8_BLOCK * 4 + 2 * width,)
    else:
        page = (num_groups, rank + width)
    for name, tensor, shape in (
        ("out", out_THP, query_THP.shape),
        ("latent", latent_TGR, (num_tokens, num_groups, rank)),
        ("rotary", rotary_TGP, (num_tokens, num_groups, width)),
        ("positions", positions_T, (num_tokens,)),
        ("slots", slots_T, (num_tokens,)),
        ("turns", turns_C2P, (len(turns_C2P), 2, width // 2)),
        ("pages", pages, (len(pages), *page)),
    ):
        if tensor.shape != shape or (tensor.stride(-1) != 1 and tensor.shape[-1] > 1):
            raise ValueError(f"{name}: {tuple(tensor.shape)}: {tuple(shape)} expected, the last dimension contiguous")
    if not (turns_C2P.is_contiguous() and pages.is_contiguous()):
        raise ValueError("turns and pages: contiguous memory expected")


@triton.jit
def _rotate_and_write(
    query_THP: tl.tensor,
    out_THP: tl.tensor,
    latent_TGR: tl.tensor,
    rotary_TGP: tl.tensor,
    positions_T: tl.tensor,
    slots_T: tl.tensor,
    turns_C2P: tl.tensor,
    norm_weight_R: tl.tensor,
    page_values: tl.tensor,
    page_scales: tl.tensor,
    page_rotary: tl.tensor,
    eps: tl.tensor,
    num_rows: tl.tensor,
    query_programs: tl.tensor,
    query_stride: tl.tensor,
    query_head_stride: tl.tensor,
    out_stride: tl.tensor,
    out_head_stride: tl.tensor,
    latent_stride: tl.tensor,
    latent_group_stride: tl.tensor,
    rotary_stride: tl.tensor,
    rotary_group_stride: tl.tensor,
    NUM_HEADS: tl.constexpr,
    NUM_GROUPS: tl.constexpr,
    RANK: tl.constexpr,
    WIDTH: tl.constexpr,
    SIZE: tl.constexpr,
    PARTS: tl.constexpr,
    IN_FP8: tl.constexpr,
    ROUNDS: tl.constexpr,
    TOKENS: tl.constexpr,
    HEADS: tl.constexpr,
) -> None:
    """One launch for both, which a step of decode feels: the first programs turn queries, the others write tokens."""
    program = tl.program_id(0)
    if program < query_programs:
        _rotate_heads(query_THP, out_THP, positions_T, turns_C2P, program, query_stride, query_head_stride, out_stride,
                      out_head_stride, NUM_HEADS, WIDTH, HEADS)  # fmt: skip
    else:
        rows = (program - query_programs) * TOKENS + tl.arange(0, TOKENS)
        tokens, groups = (rows // NUM_GROUPS).to(tl.int64), rows % NUM_GROUPS
        slots = tl.load(slots_T + tokens, mask=rows < num_rows, other=-1).to(tl.int64)
        is_row = rows < num_rows
        latent = _latents(latent_TGR + tokens * latent_stride + groups * latent_group_stride, is_row, norm_weight_R,
                          eps, RANK, SIZE, PARTS)  # fmt: skip
        keys = _keys(rotary_TGP + tokens * rotary_stride + groups * rotary_group_stride, positions_T + tokens, is_row,
                     slots, turns_C2P, WIDTH)  # fmt: skip
        if IN_FP8:
            _write_fp8(latent, keys, slots, page_values, page_scales, page_rotary, RANK, WIDTH, SIZE, PARTS)
        else:
            if ROUNDS:
                scale = quantize_group(latent)[1]
                latent = round_to_e4m3(latent * invert_power_of_two(scale)) * scale
            _write(latent, keys, slots, slots * NUM_GROUPS + groups, page_values, RANK, WIDTH, SIZE, PARTS)


@triton.jit
def _rotate_heads(
    query_THP: tl.tensor,
    out_THP: tl.tensor,
    positions_T: tl.tensor,
    turns_C2P: tl.tensor,
    program: tl.tensor,
    query_stride: tl.tensor,
    query_head_stride: tl.tensor,
    out_stride: tl.tensor,
    out_head_stride: tl.tensor,
    NUM_HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    HEADS: tl.constexpr,
) -> None:
    """HEADS heads of one token, which share its turns."""
    HEAD_BLOCKS: tl.constexpr = (NUM_HEADS + HEADS - 1) // HEADS
    token = (program // HEAD_BLOCKS).to(tl.int64)
    heads = program % HEAD_BLOCKS * HEADS + tl.arange(0, HEADS)[:, None]
    columns = tl.arange(0, WIDTH)[None, :]
    places = query_THP + token * query_stride + heads * query_head_stride + columns
    x = tl.load(places, mask=heads < NUM_HEADS, other=0.0)
    turns = turns_C2P + tl.load(positions_T + token).to(tl.int64) * WIDTH + tl.arange(0, WIDTH // 2)[None, :]
    turned = _turn(x, tl.load(turns), tl.load(turns + WIDTH // 2))
    tl.store(out_THP + token * out_stride + heads * out_head_stride + columns, turned, mask=heads < NUM_HEADS)


@triton.jit
def _latents(
    starts: tl.tensor,
    is_row: tl.tensor,
    norm_weight_R: tl.tensor,
    eps: tl.tensor,
    RANK: tl.constexpr,
    SIZE: tl.constexpr,
    PARTS: tl.constexpr,
) -> tl.tensor:
    """fp32 (TOKENS, PARTS, SIZE), rounded to the model's type; normed where there is a weight.

    What is no token is read too, so that nothing waits for its slot.
    """
    parts = tl.arange(0, PARTS)[None, :, None] * SIZE + tl.arange(0, SIZE)[None, None, :]
    inside = is_row[:, None, None] & (parts < RANK)
    latent = tl.load(starts[:, None, None] + parts, mask=inside, other=0.0).to(tl.float32)
    if norm_weight_R is not None:
        weight = tl.load(norm_weight_R + parts, mask=parts < RANK, other=0.0).to(tl.float32)
        inverse = tl.math.rsqrt(tl.sum(tl.sum(latent * latent, axis=2), axis=1) / RANK + eps)
        latent = round_to_model(latent * inverse[:, None, None] * weight)
    return latent


@triton.jit
def _keys(
    starts: tl.tensor,
    positions: tl.tensor,
    is_row: tl.tensor,
    slots: tl.tensor,
    turns_C2P: tl.tensor,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    x = tl.load(starts[:, None] + tl.arange(0, WIDTH)[None, :], mask=is_row[:, None], other=0.0)
    position = tl.load(positions, mask=is_row, other=0).to(tl.int64)
    turns = turns_C2P + tl.where(slots >= 0, position, 0)[:, None] * WIDTH + tl.arange(0, WIDTH // 2)[None, :]
    return _turn(x, tl.load(turns), tl.load(turns + WIDTH // 2))


@triton.jit
def _write(
    latent: tl.tensor,
    keys: tl.tensor,
    slots: tl.tensor,
    places: tl.tensor,
    pages: tl.tensor,
    RANK: tl.constexpr,
    WIDTH: tl.constexpr,
    SIZE: tl.constexpr,
    PARTS: tl.constexpr,
) -> None:
    parts = tl.arange(0, PARTS)[None, :, None] * SIZE + tl.arange(0, SIZE)[None, None, :]
    inside = (slots >= 0)[:, None, None] & (parts < RANK)
    tl.store(pages + places[:, None, None] * (RANK + WIDTH) + parts, latent, mask=inside)
    columns = RANK + tl.arange(0, WIDTH)[None, :]
    tl.store(pages + places[:, None] * (RANK + WIDTH) + columns, keys, mask=(slots >= 0)[:, None])


@triton.jit
def _write_fp8(
    latent: tl.tensor,
    keys: tl.tensor,
    slots: tl.tensor,
    page_values: tl.tensor,
    page_scales: tl.tensor,
    page_rotary: tl.tensor,
    RANK: tl.constexpr,
    WIDTH: tl.constexpr,
    SIZE: tl.constexpr,
    PARTS: tl.constexpr,
) -> None:
    """The three pointers are one memory, seen in three types."""
    SLOT_BYTES: tl.constexpr = RANK + RANK // 32 + 2 * WIDTH
    part = tl.arange(0, PARTS)[None, :, None]
    columns = part * SIZE + tl.arange(0, SIZE)[None, None, :]
    is_token, slot = (slots >= 0)[:, None, None], slots[:, None, None]
    values, scale = quantize_group(latent)
    tl.store(page_values + slot * SLOT_BYTES + columns, values, mask=is_token & (columns < RANK))
    scales = page_scales + slot * (SLOT_BYTES // 4) + RANK // 4 + part
    tl.store(scales, scale, mask=is_token & (part * SIZE < RANK))
    places = page_rotary + slots[:, None] * (SLOT_BYTES // 2) + (RANK + RANK // 32) // 2
    tl.store(places + tl.arange(0, WIDTH)[None, :], to_bf16(keys), mask=(slots >= 0)[:, None])


@triton.jit
def _turn(x: tl.tensor, cos: tl.tensor, sin: tl.tensor) -> tl.tensor:
    """Pairs (2i, 2i+1) of rows of WIDTH, in their own type."""
    even, odd = tl.split(tl.reshape(x.to(tl.float32), (x.shape[0], x.shape[1] // 2, 2)))
    turned = tl.join(even * cos - odd * sin, even * sin + odd * cos)
    return tl.reshape(turned, (x.shape[0], x.shape[1])).to(x.dtype)
