"""The indexer's queries and keys on their way to FP8 scores: normed (keys), turned, spread by the Hadamard matrix,
rounded to e4m3, and kept (queries, with their heads' weights) or written to the paged cache (keys).

Says again what inference/model/indexer.py and rope.py (pairs of halves) say in reference arithmetic, and the index half
of fp8_cache.py: a block's keys first, then its scales.
Legend: T tokens, I index heads, J index head width, P rotary width (its first columns), C positions, N blocks, Y bytes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.e4m3 import MODEL_TYPE, quantize_group, round_to_model
from inference.kernels.launch import BF16, Config, num_multiprocessors
from inference.quantization import FP8, FP8_BLOCK, quantize_groups

# ROWS of J numbers at once; PROGRAMS of a multiprocessor walk over them with the matrix made once.
QUERY_CONFIGS = tuple(
    Config({"ROWS": rows, "PROGRAMS": programs}, num_warps=warps, num_stages=stages)
    for rows, programs, warps, stages in (
        (64, 3, 4, 2),
        (64, 2, 4, 3),
        (64, 2, 4, 4),
        (64, 3, 8, 2),
    )
)
KEY_CONFIGS = tuple(
    Config({"ROWS": rows, "PROGRAMS": programs}, num_warps=warps, num_stages=1)
    for rows, programs, warps in ((16, 8, 4), (16, 8, 8), (32, 2, 8))
)


def write_index_keys(
    key_TJ: Tensor,
    norm_weight_J: Tensor,
    norm_bias_J: Tensor,
    positions_T: Tensor,
    slots_T: Tensor,
    turns_C2P: Tensor,
    pages_NY: Tensor,
    *,
    eps: float = 1e-6,
    block_size: int = 64,
    config: Config = KEY_CONFIGS[0],
) -> None:
    """To uint8 pages, block_size * (J + 4) bytes each; slot -1 is no token."""
    num_tokens, width = key_TJ.shape
    _check_width(width, turns_C2P)
    if pages_NY.dtype != torch.uint8 or pages_NY.shape[1:] != (block_size * (width + 4),):
        raise ValueError(f"pages: {tuple(pages_NY.shape)}: uint8 (blocks, {block_size * (width + 4)}) expected")
    if not pages_NY.is_contiguous() or key_TJ.stride(-1) != 1:
        raise ValueError("pages and the rows of keys: contiguous memory expected")
    if num_tokens:
        rows = config.blocks["ROWS"]
        _write_keys[(_num_programs(-(-num_tokens // rows), config, key_TJ.device),)](
            key_TJ,
            norm_weight_J,
            norm_bias_J,
            positions_T,
            slots_T,
            turns_C2P,
            pages_NY.view(FP8),
            pages_NY.view(torch.float32),
            eps,
            num_tokens,
            key_TJ.stride(0),
            WIDTH=width,
            ROTARY=2 * turns_C2P.shape[2],
            BLOCK_SIZE=block_size,
            ROWS=rows,
            num_warps=config.num_warps,
            num_stages=config.num_stages,
            enable_fp_fusion=False,
        )


def index_queries(
    query_TIJ: Tensor,
    weight_TI: Tensor,
    positions_T: Tensor,
    turns_C2P: Tensor,
    weight_scale: float,
    config: Config = QUERY_CONFIGS[0],
) -> tuple[Tensor, Tensor]:
    """e4m3 (T, I, J) and fp32 head weights (T, I): weight * weight_scale * the query's own scale."""
    num_tokens, num_heads, width = query_TIJ.shape
    _check_width(width, turns_C2P)
    if query_TIJ.stride()[1:] != (width, 1) or weight_TI.shape != (num_tokens, num_heads) or weight_TI.stride(1) != 1:
        raise ValueError(
            f"queries {tuple(query_TIJ.shape)}, weights {tuple(weight_TI.shape)}: contiguous rows expected"
        )
    values_TIJ = torch.empty(query_TIJ.shape, dtype=FP8, device=query_TIJ.device)
    folded_TI = torch.empty(num_tokens, num_heads, dtype=torch.float32, device=query_TIJ.device)
    if num_tokens:
        rows = max(16, min(config.blocks["ROWS"], triton.next_power_of_2(num_heads)))
        num_tiles = num_tokens * triton.cdiv(num_heads, rows)
        _rotate_queries[(_num_programs(num_tiles, config, query_TIJ.device),)](
            query_TIJ,
            weight_TI,
            positions_T,
            turns_C2P,
            values_TIJ,
            folded_TI,
            weight_scale,
            num_tokens,
            query_TIJ.stride(0),
            weight_TI.stride(0),
            HEADS=num_heads,
            WIDTH=width,
            ROTARY=2 * turns_C2P.shape[2],
            ROWS=rows,
            STAGES=config.num_stages,
            num_warps=config.num_warps,
            num_stages=config.num_stages,
            enable_fp_fusion=False,
        )
    return values_TIJ, folded_TI


def plain_index_keys(
    key_TJ: Tensor, norm_weight_J: Tensor, norm_bias_J: Tensor, positions_T: Tensor, turns_C2P: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """e4m3 (T, J) and their scales (T, 1)."""
    normed = F.layer_norm(key_TJ.float(), key_TJ.shape[1:], norm_weight_J.float(), norm_bias_J.float(), eps)
    values, scale = _spread_and_round(normed[:, None], positions_T, turns_C2P)
    return values[:, 0], scale


def plain_write_index_keys(
    values_TJ: Tensor, scale_T1: Tensor, slots_T: Tensor, pages_NY: Tensor, block_size: int = 64
) -> None:
    is_token_T = slots_T >= 0
    slots_T, values_TJ, scale_T1 = slots_T[is_token_T].long(), values_TJ[is_token_T], scale_T1[is_token_T]
    border = block_size * values_TJ.shape[1]
    blocks_T, offsets_T = slots_T // block_size, slots_T % block_size
    keys, scales = pages_NY[:, :border], pages_NY[:, border:]
    torch.unflatten(keys, 1, (block_size, -1))[blocks_T, offsets_T] = values_TJ.contiguous().view(torch.uint8)
    torch.unflatten(scales, 1, (block_size, 4))[blocks_T, offsets_T] = scale_T1.contiguous().view(torch.uint8)


def plain_index_queries(
    query_TIJ: Tensor, weight_TI: Tensor, positions_T: Tensor, turns_C2P: Tensor, weight_scale: float
) -> tuple[Tensor, Tensor]:
    values, scale = _spread_and_round(query_TIJ.float(), positions_T, turns_C2P)
    return values, weight_TI.float() * weight_scale * scale


def _spread_and_round(x_TIJ: Tensor, positions_T: Tensor, turns_C2P: Tensor) -> tuple[Tensor, Tensor]:
    cos_T1P, sin_T1P = turns_C2P[positions_T.long()].transpose(0, 1)[:, :, None]
    half, width = turns_C2P.shape[2], x_TIJ.shape[2]
    first, second, rest = torch.split(x_TIJ, [half, half, width - 2 * half], dim=-1)
    turned = torch.cat((first * cos_T1P - second * sin_T1P, first * sin_T1P + second * cos_T1P, rest), dim=-1)
    spread = turned.to(BF16).double() @ _hadamard(width, x_TIJ.device)
    values, scale = quantize_groups(spread.to(BF16))
    return values[..., 0, :], scale[..., 0]


def _hadamard(order: int, device: torch.device) -> Tensor:
    """Orthonormal, in Sylvester's order: the sign is that of the bits which row and column share. fp64."""
    numbers = torch.arange(order, device=device)
    shared = numbers[:, None] & numbers
    for shift in (4, 2, 1):
        shared = shared ^ (shared >> shift)
    return (1 - 2 * (shared & 1)).double() / math.sqrt(order)


def _num_programs(num_tiles: int, config: Config, device: torch.device) -> int:
    return min(config.blocks["PROGRAMS"] * num_multiprocessors(device), num_tiles)


def _check_width(width: int, turns_C2P: Tensor) -> None:
    rotary = 2 * turns_C2P.shape[2]
    if width & (width - 1) or not 32 <= width <= FP8_BLOCK:
        raise ValueError(f"index head width = {width}: a power of two from 32 to {FP8_BLOCK} expected")
    if rotary not in (width, width // 2):
        raise ValueError(f"rotary width = {rotary}: {width} or {width // 2} expected, the head's width or half of it")
    if not turns_C2P.is_contiguous():
        raise ValueError("turns: contiguous memory expected")


@triton.jit
def _write_keys(
    key_TJ: tl.tensor,
    norm_weight_J: tl.tensor,
    norm_bias_J: tl.tensor,
    positions_T: tl.tensor,
    slots_T: tl.tensor,
    turns_C2P: tl.tensor,
    page_values: tl.tensor,
    page_scales: tl.tensor,
    eps: tl.tensor,
    num_rows: tl.tensor,
    key_stride: tl.tensor,
    WIDTH: tl.constexpr,
    ROTARY: tl.constexpr,
    BLOCK_SIZE: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    HALF: tl.constexpr = ROTARY // 2
    halves, columns = tl.arange(0, HALF)[None, :], tl.arange(0, WIDTH)[None, :]
    for start in tl.range(tl.program_id(0) * ROWS, num_rows, tl.num_programs(0) * ROWS):
        rows = (start + tl.arange(0, ROWS)).to(tl.int64)
        slots = tl.load(slots_T + rows, mask=rows < num_rows, other=-1).to(tl.int64)
        is_token = (slots >= 0)[:, None]
        x = key_TJ + (rows * key_stride)[:, None]
        is_row = (rows < num_rows)[:, None]  # what is no token is read too, so that nothing waits for its slot
        first = tl.load(x + halves, mask=is_row, other=0.0).to(tl.float32)
        second = tl.load(x + HALF + halves, mask=is_row, other=0.0).to(tl.float32)
        total = tl.sum(first, axis=1) + tl.sum(second, axis=1)
        if ROTARY < WIDTH:
            others = ROTARY + tl.arange(0, WIDTH - ROTARY)[None, :]
            rest = tl.load(x + others, mask=is_row, other=0.0).to(tl.float32)
            total += tl.sum(rest, axis=1)
        mean = (total / WIDTH)[:, None]
        first, second = first - mean, second - mean
        square = tl.sum(first * first, axis=1) + tl.sum(second * second, axis=1)
        if ROTARY < WIDTH:
            rest = rest - mean
            square += tl.sum(rest * rest, axis=1)
        inverse = tl.math.rsqrt(square / WIDTH + eps)[:, None]
        first = first * inverse * _vector(norm_weight_J + halves) + _vector(norm_bias_J + halves)
        second = second * inverse * _vector(norm_weight_J + HALF + halves) + _vector(norm_bias_J + HALF + halves)

        positions = tl.load(positions_T + rows, mask=rows < num_rows, other=0).to(tl.int64)
        turns = turns_C2P + (tl.where(slots >= 0, positions, 0) * ROTARY)[:, None] + halves
        spread = _spread_turned(first, second, tl.load(turns), tl.load(turns + HALF), WIDTH, HALF)
        if ROTARY < WIDTH:
            rest = rest * inverse * _vector(norm_weight_J + others) + _vector(norm_bias_J + others)
            spread = _spread(rest, ROTARY, WIDTH, spread)
        values, scale = _round(spread, WIDTH)
        blocks, offsets = slots // BLOCK_SIZE, slots % BLOCK_SIZE
        places = blocks * (BLOCK_SIZE * (WIDTH + 4)) + offsets * WIDTH
        tl.store(page_values + places[:, None] + columns, values, mask=is_token)
        places = blocks * (BLOCK_SIZE * (WIDTH + 4) // 4) + BLOCK_SIZE * WIDTH // 4 + offsets
        tl.store(page_scales + places[:, None], scale, mask=is_token)


@triton.jit
def _rotate_queries(
    query_TIJ: tl.tensor,
    weight_TI: tl.tensor,
    positions_T: tl.tensor,
    turns_C2P: tl.tensor,
    values_TIJ: tl.tensor,
    folded_TI: tl.tensor,
    weight_scale: tl.tensor,
    num_tokens: tl.tensor,
    query_stride: tl.tensor,
    weight_stride: tl.tensor,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROTARY: tl.constexpr,
    ROWS: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """A tile is ROWS heads of one token, which share its turns."""
    HALF: tl.constexpr = ROTARY // 2
    BLOCKS: tl.constexpr = (HEADS + ROWS - 1) // ROWS
    halves, columns = tl.arange(0, HALF)[None, :], tl.arange(0, WIDTH)[None, :]
    for tile in tl.range(tl.program_id(0).to(tl.int64), num_tokens * BLOCKS, tl.num_programs(0), num_stages=STAGES):
        token, heads = tile // BLOCKS, tile % BLOCKS * ROWS + tl.arange(0, ROWS)
        is_head = heads < HEADS
        x = query_TIJ + token * query_stride + (heads * WIDTH)[:, None]
        first = tl.load(x + halves, mask=is_head[:, None], other=0.0).to(tl.float32)
        second = tl.load(x + HALF + halves, mask=is_head[:, None], other=0.0).to(tl.float32)
        turns = turns_C2P + tl.load(positions_T + token).to(tl.int64) * ROTARY + halves
        spread = _spread_turned(first, second, tl.load(turns), tl.load(turns + HALF), WIDTH, HALF)
        if ROTARY < WIDTH:
            others = ROTARY + tl.arange(0, WIDTH - ROTARY)[None, :]
            rest = tl.load(x + others, mask=is_head[:, None], other=0.0)
            spread = _spread(rest, ROTARY, WIDTH, spread)
        values, scale = _round(spread, WIDTH)
        tl.store(
            values_TIJ + token * (HEADS * WIDTH) + (heads * WIDTH)[:, None] + columns, values, mask=is_head[:, None]
        )
        weight = tl.load(weight_TI + token * weight_stride + heads, mask=is_head, other=0.0).to(tl.float32)
        folded = weight[:, None] * weight_scale * scale
        tl.store(folded_TI + token * HEADS + heads[:, None], folded, mask=is_head[:, None])


@triton.jit
def _spread_turned(
    first: tl.tensor, second: tl.tensor, cos: tl.tensor, sin: tl.tensor, WIDTH: tl.constexpr, HALF: tl.constexpr
) -> tl.tensor:
    """The turned columns' share of the spread row. A product for each part, since parts cannot be joined cheaply."""
    spread = tl.zeros([first.shape[0], WIDTH], tl.float32)
    spread = _spread(first * cos - second * sin, 0, WIDTH, spread)
    return _spread(first * sin + second * cos, HALF, WIDTH, spread)


@triton.jit
def _spread(x: tl.tensor, FROM: tl.constexpr, WIDTH: tl.constexpr, spread: tl.tensor) -> tl.tensor:
    """Adds x, rounded to the model's type, times its rows of the matrix of signs, from FROM on."""
    shared = (FROM + tl.arange(0, x.shape[1]))[:, None] & tl.arange(0, WIDTH)[None, :]
    is_odd = (0x6996 >> ((shared ^ (shared >> 4)) & 15)) & 1  # of four bits, whether an odd number is set
    signs = tl.where(is_odd == 0, 1.0, -1.0).to(MODEL_TYPE)
    return tl.dot(x.to(MODEL_TYPE), signs, acc=spread, input_precision="ieee")


@triton.jit
def _round(spread: tl.tensor, WIDTH: tl.constexpr) -> tl.tensor:
    """Orthonormal, rounded to the model's type and then to e4m3, with scales (rows, 1)."""
    return quantize_group(round_to_model(spread * (WIDTH**-0.5)))


@triton.jit
def _vector(places: tl.tensor) -> tl.tensor:
    return tl.load(places).to(tl.float32)
