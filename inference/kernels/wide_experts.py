"""The activation of an MLP whose columns are several experts side by side: silu(gate) * up, each expert's columns times
what its token gives it.

Says again what inference/model/moe.py says of a layer with no more distinct experts than are active; a dense MLP is one
with shared columns alone.
Legend: T tokens, F columns (those of the shared expert first), K chosen, E experts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.launch import Config

CONFIGS = tuple(
    Config({"BLOCK_F": block}, num_warps=warps, num_stages=1)
    for block, warps in ((512, 4), (1024, 4), (256, 2), (2048, 8))
)


def activate_wide(
    both_TX: Tensor,
    shared_width: int,
    expert_width: int,
    ids_TK: Tensor | None = None,
    weights_TK: Tensor | None = None,
    distinct_of_E: Tensor | None = None,
    *,
    out: Tensor | None = None,
    config: Config = CONFIGS[0],
) -> Tensor:
    """(T, F) in the type of `both_TX`, whose first F columns are gates and whose last are ups.

    Ids, weights and which of the distinct experts each is (int32, fp32, int32) may be left out where all is shared.
    """
    num_tokens, width = both_TX.shape[0], both_TX.shape[1] // 2
    if both_TX.shape[1] % 2 or both_TX.stride(1) != 1 or not 0 <= shared_width <= width:
        raise ValueError(f"both {tuple(both_TX.shape)}, shared {shared_width}: gates and ups side by side expected")
    if (width - shared_width) % max(1, expert_width):
        raise ValueError(f"expert_width = {expert_width}: a divisor of {width} - {shared_width} expected")
    if shared_width < width:
        if ids_TK is None or weights_TK is None or distinct_of_E is None:
            raise ValueError("ids, weights and distinct experts are needed where not all columns are shared")
        if ids_TK.dtype != torch.int32 or distinct_of_E.dtype != torch.int32 or weights_TK.dtype != torch.float32:
            raise ValueError("ids and distinct experts int32, weights fp32 expected")
        if not (ids_TK.is_contiguous() and weights_TK.is_contiguous() and ids_TK.shape == weights_TK.shape):
            raise ValueError(f"ids {tuple(ids_TK.shape)}, weights {tuple(weights_TK.shape)}: contiguous and alike")
    out = torch.empty(num_tokens, width, dtype=both_TX.dtype, device=both_TX.device) if out is None else out
    if num_tokens:
        _activate[(num_tokens, triton.cdiv(width, config.blocks["BLOCK_F"]))](
            both_TX,
            ids_TK,
            weights_TK,
            distinct_of_E,
            out,
            both_TX.stride(0),
            out.stride(0),
            WIDTH=width,
            SHARED=shared_width,
            EXPERT=max(1, expert_width),
            CHOSEN=0 if ids_TK is None or shared_width == width else ids_TK.shape[1],
            **config.options,
        )
    return out


def plain_activate_wide(
    both_TX: Tensor,
    shared_width: int,
    expert_width: int,
    ids_TK: Tensor | None = None,
    weights_TK: Tensor | None = None,
    distinct_of_E: Tensor | None = None,
) -> Tensor:
    gate, up = both_TX.float().chunk(2, dim=-1)
    out = F.silu(gate) * up
    if ids_TK is not None and weights_TK is not None and distinct_of_E is not None:
        num_distinct = (out.shape[1] - shared_width) // expert_width
        weights_TU = weights_TK.new_zeros(len(out), max(num_distinct, int(distinct_of_E.max()) + 1))
        weights_TU.scatter_add_(1, distinct_of_E[ids_TK.long()].long(), weights_TK)
        out[:, shared_width:] *= weights_TU[:, :num_distinct].repeat_interleave(expert_width, dim=1)
    return out.to(both_TX.dtype)


@triton.jit
def _activate(
    both: tl.tensor,
    ids: tl.tensor,
    weights: tl.tensor,
    distinct_of: tl.tensor,
    out: tl.tensor,
    both_stride: tl.tensor,
    out_stride: tl.tensor,
    WIDTH: tl.constexpr,
    SHARED: tl.constexpr,
    EXPERT: tl.constexpr,
    CHOSEN: tl.constexpr,
    BLOCK_F: tl.constexpr,
) -> None:
    token = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK_F + tl.arange(0, BLOCK_F)
    is_column = column < WIDTH
    gate = tl.load(both + token * both_stride + column, mask=is_column, other=0.0).to(tl.float32)
    up = tl.load(both + token * both_stride + WIDTH + column, mask=is_column, other=0.0).to(tl.float32)
    product = gate / (1 + tl.exp(-gate)) * up
    if CHOSEN:
        expert = (column - SHARED) // EXPERT
        factor = tl.where(column < SHARED, 1.0, 0.0)
        for k in tl.static_range(CHOSEN):
            chosen = tl.load(distinct_of + tl.load(ids + token * CHOSEN + k))
            weight = tl.load(weights + token * CHOSEN + k)
            factor += tl.where((column >= SHARED) & (expert == chosen), weight, 0.0)
        product *= factor
    tl.store(out + token * out_stride + column, product.to(out.dtype.element_ty), mask=is_column)
