"""Sparse MLA: every row attends to the cached tokens that were chosen for it, found through its block table.

Serves prefill and decode, over bfloat16 pages and over FP8 ones.
Legend: see latent_attention.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inference.kernels import latent_attention_hopper as hopper
from inference.kernels.latent_attention import check_shape, launch, plain_attend, plain_slots
from inference.kernels.launch import Config

CONFIG = Config({"BLOCK_N": 32}, num_warps=8, num_stages=2)


def attend_chosen(
    query_THX: Tensor,
    pages: Tensor,
    chosen_TK: Tensor,
    block_tables_SB: Tensor,
    sequence_T: Tensor,
    *,
    rank: int,
    softmax_scale: float,
    block_size: int = 64,
    out: Tensor | None = None,
    config: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """Averages of latents (T, H, R) in the queries' type and natural log-sum-exp (T, H) in fp32.

    Chosen positions are int32, -1 anywhere is none; a row with none gives zeros and -inf. Pages are (N, G, W), or
    (N, Y) uint8.
    """
    shape = check_shape(query_THX, pages, rank)
    config = config or (hopper.config_of(shape) if hopper.serves(shape, query_THX.device) else CONFIG)
    if chosen_TK.dtype != torch.int32 or chosen_TK.shape[0] != shape.num_rows or not chosen_TK.is_contiguous():
        raise ValueError(f"chosen {tuple(chosen_TK.shape)} {chosen_TK.dtype}: int32 ({shape.num_rows}, K) expected")
    out = query_THX.new_empty(shape.num_rows, shape.num_heads, rank) if out is None else out
    lse_TH = query_THX.new_empty(shape.num_rows, shape.num_heads, dtype=torch.float32)
    (hopper.launch if hopper.is_meant(config) else launch)(
        shape,
        query_THX,
        pages,
        chosen_TK,
        block_tables_SB,
        sequence_T,
        out,
        lse_TH,
        chosen=True,
        num_tokens=chosen_TK.shape[1],
        softmax_scale=softmax_scale,
        block_size=block_size,
        config=config,
    )
    return out, lse_TH


def plain_attend_chosen(
    query_THX: Tensor,
    pages: Tensor,
    chosen_TK: Tensor,
    block_tables_SB: Tensor,
    sequence_T: Tensor,
    *,
    rank: int,
    softmax_scale: float,
    block_size: int = 64,
) -> tuple[Tensor, Tensor]:
    """The same in fp64."""
    slots_TK = plain_slots(chosen_TK, block_tables_SB, sequence_T, block_size)
    return plain_attend(query_THX, pages, slots_TK, rank, softmax_scale)
