"""Sorts the routed tokens by expert, so that each expert's product reads rows that lie together.

Everything stays on the device: how many rows an expert has is known to the next kernel only. Rows of one expert keep
the order of their tokens, so that the same tokens give the same bits. An id below 0 asks for no expert.
Legend: T tokens, K choices of a token, R = T*K rows, E experts, M tiles of rows, C chunks of choices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.launch import Config

# Of a tile: its expert, first row and end row, the expert's first tile and number of tiles; then, the same for all, how
# many tiles and rows are used.
TILE_FIELDS = 8
CONFIGS = (
    Config({"STEP": 32, "STEPS": 4}, num_warps=4),
    Config({"STEP": 32, "STEPS": 8}, num_warps=4),
    Config({"STEP": 16, "STEPS": 8}, num_warps=4),
    Config({"STEP": 32, "STEPS": 8}, num_warps=8),
)


@dataclass(frozen=True, slots=True)
class Permutation:
    row_TK: Tensor  # int32: where each choice's row lies; -1 where there is none
    token_R: Tensor  # int32: whose row it is; what lies beyond the last row is undefined
    tile_MF: Tensor  # int32 (M, TILE_FIELDS): tiles of `tile_rows` rows at most, expert by expert; -1 where unused
    tile_rows: int


def permute(ids_TK: Tensor, num_experts: int, tile_rows: int, *, config: Config = CONFIGS[0]) -> Permutation:
    """ids_TK int32, each below `num_experts`."""
    if ids_TK.ndim != 2 or ids_TK.dtype != torch.int32 or not ids_TK.is_contiguous():
        raise ValueError(f"ids {ids_TK.dtype} {tuple(ids_TK.shape)}: contiguous int32 (T, K) expected")
    if tile_rows < 1:
        raise ValueError(f"tile_rows {tile_rows}: at least 1 expected")
    num_rows = ids_TK.numel()
    num_tiles = num_rows // tile_rows + min(num_experts, num_rows)
    permutation = Permutation(
        row_TK=torch.empty_like(ids_TK),
        token_R=ids_TK.new_empty(num_rows),
        tile_MF=ids_TK.new_empty(num_tiles, TILE_FIELDS),
        tile_rows=tile_rows,
    )
    if num_rows == 0:
        return permutation
    num_chunks = triton.cdiv(num_rows, config.blocks["STEP"] * config.blocks["STEPS"])
    counts_CE = ids_TK.new_empty(num_chunks, num_experts)
    block_e = triton.next_power_of_2(num_experts)
    if num_chunks > 1:  # one chunk counts for itself
        _count_kernel[(num_chunks,)](ids_TK, counts_CE, num_rows, num_experts, BLOCK_E=block_e, **config.options)
    _place_kernel[(max(num_chunks, triton.cdiv(num_tiles, config.blocks["STEP"])),)](
        ids_TK,
        counts_CE,
        permutation.row_TK,
        permutation.token_R,
        permutation.tile_MF,
        num_rows,
        num_experts,
        num_chunks,
        num_tiles,
        ids_TK.shape[1],
        tile_rows,
        BLOCK_E=block_e,
        IS_COUNTED=num_chunks > 1,
        FIELDS=TILE_FIELDS,
        **config.options,
    )
    return permutation


def plain_permute(ids_TK: Tensor, num_experts: int, tile_rows: int) -> Permutation:
    num_rows, choices = ids_TK.numel(), ids_TK.shape[1]
    ids_R = ids_TK.flatten().long()
    order_R = torch.where(ids_R < 0, num_experts, ids_R).sort(stable=True).indices
    order_R = order_R[ids_R[order_R] >= 0]
    row_R = torch.full_like(ids_R, -1)
    row_R[order_R] = torch.arange(len(order_R), device=ids_TK.device)
    tiles: list[list[int]] = []
    first_row = 0
    for expert, count in enumerate(ids_R[ids_R >= 0].bincount(minlength=num_experts).tolist()):
        first_tile, num_tiles = len(tiles), -(-count // tile_rows)
        for tile in range(num_tiles):
            start = first_row + tile * tile_rows
            end = min(start + tile_rows, first_row + count)
            tiles.append([expert, start, end, first_tile, num_tiles, 0, 0, 0])
        first_row += count
    room = num_rows // tile_rows + min(num_experts, num_rows)
    tiles = [[*tile[:5], len(tiles), first_row, 0] for tile in tiles]
    tiles += [[-1, 0, 0, 0, 0, len(tiles), first_row, 0]] * (room - len(tiles))
    token_R = torch.full_like(ids_R, -1)
    token_R[: len(order_R)] = order_R // choices
    return Permutation(
        row_TK=row_R.int().view_as(ids_TK),
        token_R=token_R.int(),
        tile_MF=torch.tensor(tiles, dtype=torch.int32, device=ids_TK.device).view(room, TILE_FIELDS),
        tile_rows=tile_rows,
    )


@triton.jit
def _one_hot(
    ids_ptr: tl.tensor, first: tl.tensor, num_rows: tl.tensor, experts: tl.tensor, STEP: tl.constexpr
) -> tl.tensor:
    """int32 (STEP, E): 1 where a choice is that expert."""
    choices = first + tl.arange(0, STEP)
    ids = tl.load(ids_ptr + choices, mask=choices < num_rows, other=-1)
    return (ids[:, None] == experts[None, :]).to(tl.int32)


@triton.jit
def _count_kernel(
    ids_ptr: tl.tensor,
    counts_ptr: tl.tensor,
    num_rows: tl.tensor,
    num_experts: tl.tensor,
    BLOCK_E: tl.constexpr,
    STEP: tl.constexpr,
    STEPS: tl.constexpr,
) -> None:
    """One chunk: how many of its choices fall on each expert."""
    chunk = tl.program_id(0)
    experts = tl.arange(0, BLOCK_E)
    counts = tl.zeros((BLOCK_E,), tl.int32)
    for step in range(STEPS):
        counts += tl.sum(_one_hot(ids_ptr, (chunk * STEPS + step) * STEP, num_rows, experts, STEP), axis=0)
    tl.store(counts_ptr + chunk * num_experts + experts, counts, mask=experts < num_experts)


@triton.jit
def _place_kernel(
    ids_ptr: tl.tensor,
    counts_ptr: tl.tensor,
    row_ptr: tl.tensor,
    token_ptr: tl.tensor,
    tile_ptr: tl.tensor,
    num_rows: tl.tensor,
    num_experts: tl.tensor,
    num_chunks: tl.tensor,
    num_tiles: tl.tensor,
    choices: tl.tensor,
    tile_rows: tl.tensor,
    BLOCK_E: tl.constexpr,
    STEP: tl.constexpr,
    STEPS: tl.constexpr,
    IS_COUNTED: tl.constexpr,
    FIELDS: tl.constexpr,
) -> None:
    """One chunk: its choices' rows, after those of earlier chunks; and STEP entries of the table of tiles."""
    chunk = tl.program_id(0)
    experts = tl.arange(0, BLOCK_E)
    total = tl.zeros((BLOCK_E,), tl.int32)
    before = tl.zeros((BLOCK_E,), tl.int32)  # in earlier chunks
    if IS_COUNTED:
        first_chunk = 0
        while first_chunk < num_chunks:
            chunks = first_chunk + tl.arange(0, STEP)[:, None]
            is_real = (chunks < num_chunks) & (experts < num_experts)[None, :]
            counts = tl.load(counts_ptr + chunks * num_experts + experts[None, :], mask=is_real, other=0)
            total += tl.sum(counts, axis=0)
            before += tl.sum(tl.where(chunks < chunk, counts, 0), axis=0)
            first_chunk += STEP
    else:
        for step in range(STEPS):
            total += tl.sum(_one_hot(ids_ptr, step * STEP, num_rows, experts, STEP), axis=0)
    first_row = tl.cumsum(total, 0) - total
    next_row = first_row + before
    if chunk < num_chunks:
        for step in range(STEPS):
            first = (chunk * STEPS + step) * STEP
            is_its = _one_hot(ids_ptr, first, num_rows, experts, STEP)
            place = next_row[None, :] + tl.cumsum(is_its, 0) - 1
            rows = tl.sum(is_its * (place + 1), axis=1) - 1  # -1 where no expert is asked for
            next_row += tl.sum(is_its, axis=0)
            choice = first + tl.arange(0, STEP)
            tl.store(row_ptr + choice, rows, mask=choice < num_rows)
            tl.store(token_ptr + rows, choice // choices, mask=rows >= 0)

    tiles = chunk * STEP + tl.arange(0, STEP)
    tiles_of = (total + tile_rows - 1) // tile_rows
    end_tile = tl.cumsum(tiles_of, 0)
    expert = tl.sum((end_tile[None, :] <= tiles[:, None]).to(tl.int32), axis=1)
    is_its = (expert[:, None] == experts[None, :]).to(tl.int32)
    count = tl.sum(is_its * tiles_of[None, :], axis=1)
    first_tile = tl.sum(is_its * end_tile[None, :], axis=1) - count
    expert_row = tl.sum(is_its * first_row[None, :], axis=1)
    end_row = expert_row + tl.sum(is_its * total[None, :], axis=1)
    start = expert_row + (tiles - first_tile) * tile_rows
    is_used = count > 0
    is_real = tiles < num_tiles
    fields = tile_ptr + tiles * FIELDS
    tl.store(fields, tl.where(is_used, expert, -1), mask=is_real)
    tl.store(fields + 1, tl.where(is_used, start, 0), mask=is_real)
    tl.store(fields + 2, tl.where(is_used, tl.minimum(start + tile_rows, end_row), 0), mask=is_real)
    tl.store(fields + 3, tl.where(is_used, first_tile, 0), mask=is_real)
    tl.store(fields + 4, count, mask=is_real)
    tl.store(fields + 5, tl.zeros_like(count) + tl.sum(tiles_of, axis=0), mask=is_real)
    tl.store(fields + 6, tl.zeros_like(count) + tl.sum(total, axis=0), mask=is_real)
