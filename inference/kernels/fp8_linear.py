"""y = x W^T from e4m3: one scale for each token and group of 128, one for each 128x128 block of the weight.

Sums are promoted to fp32 every 128 of the inner dimension, where both scales come in. Many tokens: tokens are the
tiles' rows. Few tokens: a product takes as long as reading its weight, which streams past them, cut in its inner
dimension as well where it has few rows; the parts are summed in fp32 in a fixed order.
Legend: T tokens, I in, O out, G = I/128 groups, R and C blocks of 128 of O and I.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from inference.kernels.arrival import counters_for, is_last
from inference.kernels.expert_tiles import check_products, dequantize_groups
from inference.kernels.launch import BF16, Config, num_multiprocessors
from inference.quantization import FP8_BLOCK, dequantize_blocks

FEW_TOKENS = 256  # up to which the weight streams past the tokens


def _many_config(block_m: int, block_n: int, group_m: int, num_warps: int, num_stages: int) -> Config:
    blocks = {"BLOCK_M": block_m, "BLOCK_N": block_n, "BLOCK_K": 128, "GROUP_M": group_m}
    return Config(blocks, num_warps=num_warps, num_stages=num_stages)


def _few_config(block_o: int, block_t: int, splits: int, num_stages: int) -> Config:
    blocks = {"BLOCK_O": block_o, "BLOCK_T": block_t, "BLOCK_K": 128, "SPLITS": splits}
    return Config(blocks, num_warps=4, num_stages=num_stages)


MANY = (
    _many_config(128, 256, 8, 16, 4),
    _many_config(128, 256, 4, 16, 4),
    _many_config(128, 128, 8, 8, 6),
    _many_config(64, 128, 16, 4, 3),
)
FEW = (
    _few_config(64, 16, 2, 8),
    _few_config(128, 16, 4, 6),
    _few_config(128, 16, 7, 4),
    _few_config(64, 16, 7, 3),
    _few_config(64, 16, 8, 4),
    _few_config(64, 16, 3, 5),
)
SOME = (
    _few_config(64, 128, 2, 4),
    _few_config(64, 128, 4, 4),
    _few_config(64, 64, 2, 4),
    _few_config(128, 64, 2, 4),
    _few_config(128, 64, 4, 4),
)


def fp8_linear(
    x_TI: Tensor,
    x_scale_TG: Tensor,
    weight_OI: Tensor,
    weight_scale_RC: Tensor,
    *,
    out: Tensor | None = None,
    counters: Tensor | None = None,
    config: Config | None = None,
) -> Tensor:
    """(T, O) in the model's type, or in that of `out`. `counters`: see arrival.py."""
    check_products(x_TI, x_scale_TG, weight_OI, weight_scale_RC)
    num_tokens, num_out = len(x_TI), len(weight_OI)
    if out is None:
        out = torch.empty(num_tokens, num_out, dtype=BF16, device=x_TI.device)
    if out.shape != (num_tokens, num_out) or not out.is_contiguous():
        raise ValueError(f"out {tuple(out.shape)}: contiguous {(num_tokens, num_out)} expected")
    if config is None:
        config = few_config(num_tokens, weight_OI) if num_tokens <= FEW_TOKENS else MANY[0]
    if num_tokens == 0:
        return out
    if "SPLITS" in config.blocks:
        _launch_few(x_TI, x_scale_TG, weight_OI, weight_scale_RC, out, counters, config)
    else:
        _launch_many(x_TI, x_scale_TG, weight_OI, weight_scale_RC, out, config)
    return out


def few_config(num_tokens: int, weight_OI: Tensor) -> Config:
    """Cuts the weight so that two programs a multiprocessor have work, each at least four blocks of it."""
    num_out, num_in = weight_OI.shape
    block_t = min(128, max(16, triton.next_power_of_2(num_tokens)))
    num_tiles = triton.cdiv(num_out, 64) * max(1, triton.cdiv(num_tokens, block_t))
    splits = triton.cdiv(2 * num_multiprocessors(weight_OI.device), num_tiles)
    if num_tokens > 64:
        splits = min(2 * num_multiprocessors(weight_OI.device) // num_tiles, 8)
    splits = max(1, min(splits, triton.cdiv(num_in, FP8_BLOCK) // 4))
    return _few_config(64, block_t, splits, 8 if block_t < 64 else 4)


def plain_fp8_linear(x_TI: Tensor, x_scale_TG: Tensor, weight_OI: Tensor, weight_scale_RC: Tensor) -> Tensor:
    return (dequantize_groups(x_TI, x_scale_TG) @ dequantize_blocks(weight_OI, weight_scale_RC).T).to(BF16)


def _launch_many(x: Tensor, x_scale: Tensor, weight: Tensor, weight_scale: Tensor, out: Tensor, config: Config) -> None:
    block_m, block_n, block_k = (config.blocks[name] for name in ("BLOCK_M", "BLOCK_N", "BLOCK_K"))
    _many_kernel[(triton.cdiv(len(x), block_m) * triton.cdiv(len(weight), block_n),)](
        TensorDescriptor.from_tensor(x, [block_m, block_k]),
        x_scale,
        TensorDescriptor.from_tensor(weight, [FP8_BLOCK, block_k]),
        weight_scale,
        out,
        len(x),
        INNER=weight.shape[1],
        OUT=len(weight),
        **config.options,
    )


def _launch_few(
    x: Tensor,
    x_scale: Tensor,
    weight: Tensor,
    weight_scale: Tensor,
    out: Tensor,
    counters: Tensor | None,
    config: Config,
) -> None:
    block_o, block_t, splits = (config.blocks[name] for name in ("BLOCK_O", "BLOCK_T", "SPLITS"))
    tiles = triton.cdiv(len(weight), block_o), triton.cdiv(len(x), block_t)
    parts = x_scale.new_empty(*tiles, splits, block_o, block_t) if splits > 1 else x_scale
    counters = counters_for(tiles[0] * tiles[1], x.device, counters) if splits > 1 else x_scale
    _few_kernel[(*tiles, splits)](
        TensorDescriptor.from_tensor(x, [block_t, config.blocks["BLOCK_K"]]),
        x_scale,
        TensorDescriptor.from_tensor(weight, [block_o, config.blocks["BLOCK_K"]]),
        weight_scale,
        out,
        parts,
        counters,
        len(x),
        INNER=weight.shape[1],
        OUT=len(weight),
        **config.options,
    )


@triton.jit
def _many_kernel(
    x_desc: tl.tensor,
    x_scale_ptr: tl.tensor,
    weight_desc: tl.tensor,
    weight_scale_ptr: tl.tensor,
    out_ptr: tl.tensor,
    num_tokens: tl.tensor,
    INNER: tl.constexpr,
    OUT: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
) -> None:
    """One or two blocks of 128 columns. Programs go down GROUP_M tiles of tokens, then to the next columns."""
    G: tl.constexpr = (INNER + BLOCK_K - 1) // BLOCK_K
    BLOCKS: tl.constexpr = (OUT + 127) // 128
    pid = tl.program_id(0)
    num_tiles = tl.cdiv(num_tokens, BLOCK_M)
    group_size: tl.constexpr = GROUP_M * ((OUT + BLOCK_N - 1) // BLOCK_N)
    first_tile = pid // group_size * GROUP_M
    tiles = tl.minimum(num_tiles - first_tile, GROUP_M)
    tile = first_tile + pid % group_size % tiles
    column = pid % group_size // tiles

    rows = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    is_row = rows < num_tokens
    x_scales = x_scale_ptr + tl.where(is_row, rows, 0) * G
    block = column * (BLOCK_N // 128)
    scales = weight_scale_ptr + block * G
    second_scales = weight_scale_ptr + tl.minimum(block + 1, BLOCKS - 1) * G
    out = tl.zeros((BLOCK_M, 128), tl.float32)
    second = tl.zeros((BLOCK_M, 128), tl.float32)
    # Scales are loaded a step ahead: nothing else hides their latency.
    next_x_scale = tl.load(x_scales)
    next_scale = tl.load(scales)
    next_second_scale = tl.load(second_scales)
    for k in range(G):
        x_scale, scale, second_scale = next_x_scale, next_scale, next_second_scale
        ahead = tl.minimum(k + 1, G - 1)
        next_x_scale = tl.load(x_scales + ahead)
        next_scale = tl.load(scales + ahead)
        next_second_scale = tl.load(second_scales + ahead)
        x = x_desc.load([tile * BLOCK_M, k * BLOCK_K])
        weight = weight_desc.load([column * BLOCK_N, k * BLOCK_K])
        out += tl.dot(x, weight.T) * (x_scale * scale)[:, None]
        if BLOCK_N == 256:
            weight = weight_desc.load([column * BLOCK_N + 128, k * BLOCK_K])
            second += tl.dot(x, weight.T) * (x_scale * second_scale)[:, None]
    columns = column * BLOCK_N + tl.arange(0, 128)
    out_ptrs = out_ptr + rows.to(tl.int64)[:, None] * OUT + columns[None, :]
    tl.store(out_ptrs, out.to(out_ptr.dtype.element_ty), mask=is_row[:, None] & (columns < OUT)[None, :])
    if BLOCK_N == 256:
        is_out = is_row[:, None] & (columns + 128 < OUT)[None, :]
        tl.store(out_ptrs + 128, second.to(out_ptr.dtype.element_ty), mask=is_out)


@triton.jit
def _few_kernel(
    x_desc: tl.tensor,
    x_scale_ptr: tl.tensor,
    weight_desc: tl.tensor,
    weight_scale_ptr: tl.tensor,
    out_ptr: tl.tensor,
    part_ptr: tl.tensor,
    counter_ptr: tl.tensor,
    num_tokens: tl.tensor,
    INNER: tl.constexpr,
    OUT: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_K: tl.constexpr,
    SPLITS: tl.constexpr,
) -> None:
    """A split of the inner dimension; whoever comes last adds the splits up."""
    G: tl.constexpr = (INNER + BLOCK_K - 1) // BLOCK_K
    STEPS: tl.constexpr = (G + SPLITS - 1) // SPLITS
    tile_o, tile_t, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    tokens = tile_t * BLOCK_T + tl.arange(0, BLOCK_T)
    is_token = tokens < num_tokens
    first = split * STEPS
    x_scales = x_scale_ptr + tl.where(is_token, tokens, 0) * G
    scales = weight_scale_ptr + (tile_o * BLOCK_O // 128) * G
    out = tl.zeros((BLOCK_O, BLOCK_T), tl.float32)
    next_x_scale = tl.load(x_scales + tl.minimum(first, G - 1))
    next_scale = tl.load(scales + tl.minimum(first, G - 1))
    for step in range(STEPS):
        k = first + step  # beyond the last group both factors are zero
        x_scale, scale = next_x_scale, next_scale
        ahead = tl.minimum(k + 1, G - 1)
        next_x_scale = tl.load(x_scales + ahead)
        next_scale = tl.load(scales + ahead)
        x = x_desc.load([tile_t * BLOCK_T, k * BLOCK_K])
        weight = weight_desc.load([tile_o * BLOCK_O, k * BLOCK_K])
        out += tl.dot(weight, x.T) * (x_scale * scale)[None, :]

    rows = tile_o * BLOCK_O + tl.arange(0, BLOCK_O)
    out_ptrs = out_ptr + tokens.to(tl.int64)[:, None] * OUT + rows[None, :]
    is_out = is_token[:, None] & (rows < OUT)[None, :]
    if SPLITS > 1:
        tile = tile_o * tl.num_programs(1) + tile_t
        places = tl.arange(0, BLOCK_O)[:, None] * BLOCK_T + tl.arange(0, BLOCK_T)[None, :]
        part_ptrs = part_ptr + tile.to(tl.int64) * (SPLITS * BLOCK_O * BLOCK_T) + places
        tl.store(part_ptrs + split * (BLOCK_O * BLOCK_T), out)
        if is_last(counter_ptr + tile, SPLITS):
            out = tl.zeros((BLOCK_O, BLOCK_T), tl.float32)
            for part in range(SPLITS):
                out += tl.load(part_ptrs + part * (BLOCK_O * BLOCK_T), cache_modifier=".cg")
            tl.store(out_ptrs, tl.trans(out).to(out_ptr.dtype.element_ty), mask=is_out)
    else:
        tl.store(out_ptrs, tl.trans(out).to(out_ptr.dtype.element_ty), mask=is_out)
