"""Dense absorbed MLA over the paged cache: every row attends to all of its past, or to the first tokens of it.

What decode below index_topk uses, and what sparse attention is measured against.
Legend: see latent_attention.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inference.kernels import latent_attention_hopper as hopper
from inference.kernels.latent_attention import check_shape, launch, plain_attend, plain_slots
from inference.kernels.launch import Config

CONFIG = Config({"BLOCK_N": 32}, num_warps=8, num_stages=2)


def attend_pages(
    query_THX: Tensor,
    pages: Tensor,
    num_visible_T: Tensor,
    block_tables_SB: Tensor,
    sequence_T: Tensor,
    *,
    rank: int,
    softmax_scale: float,
    max_visible: int | None = None,
    block_size: int = 64,
    out: Tensor | None = None,
    config: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """Averages of latents (T, H, R) in the queries' type and natural log-sum-exp (T, H) in fp32.

    A row sees the first num_visible (int32) tokens of its sequence; none give zeros and -inf. `max_visible` is only a
    hint how to share out the work; without it the block table's width is taken.
    """
    shape = check_shape(query_THX, pages, rank)
    config = config or (hopper.config_of(shape) if hopper.serves(shape, query_THX.device) else CONFIG)
    if num_visible_T.dtype != torch.int32 or num_visible_T.shape != (shape.num_rows,):
        raise ValueError(f"num_visible {tuple(num_visible_T.shape)}: int32 ({shape.num_rows},) expected")
    out = query_THX.new_empty(shape.num_rows, shape.num_heads, rank) if out is None else out
    lse_TH = query_THX.new_empty(shape.num_rows, shape.num_heads, dtype=torch.float32)
    (hopper.launch if hopper.is_meant(config) else launch)(
        shape,
        query_THX,
        pages,
        num_visible_T,
        block_tables_SB,
        sequence_T,
        out,
        lse_TH,
        chosen=False,
        num_tokens=block_tables_SB.shape[1] * block_size if max_visible is None else max_visible,
        softmax_scale=softmax_scale,
        block_size=block_size,
        config=config,
    )
    return out, lse_TH


def plain_attend_pages(
    query_THX: Tensor,
    pages: Tensor,
    num_visible_T: Tensor,
    block_tables_SB: Tensor,
    sequence_T: Tensor,
    *,
    rank: int,
    softmax_scale: float,
    block_size: int = 64,
) -> tuple[Tensor, Tensor]:
    """The same in fp64."""
    position_C = torch.arange(block_tables_SB.shape[1] * block_size, device=pages.device)
    position_TC = torch.where(position_C < num_visible_T[:, None], position_C, -1)
    slots_TC = plain_slots(position_TC, block_tables_SB, sequence_T, block_size)
    return plain_attend(query_THX, pages, slots_TC, rank, softmax_scale)
