"""noaux_tc in one kernel: sigmoid scores choose with their bias and weigh without it, first among groups of experts.

Equal scores are decided for the lower number, of groups and of experts. NaN is chosen last. Says again what
inference/model/moe.py's Gate says; shared experts can be added to every token's choices, as numbers after the others.
Legend: T tokens, D hidden, E experts, G groups, S experts of a group, K chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.arrival import counters_for, is_last
from inference.kernels.launch import Config

FEW_TOKENS = 256  # up to which several programs share a token's product
CONFIGS = (
    Config({"BLOCK_T": 32, "BLOCK_K": 64, "SPLITS": 1}, num_warps=8, num_stages=6),
    Config({"BLOCK_T": 32, "BLOCK_K": 64, "SPLITS": 1}, num_warps=8, num_stages=4),
    Config({"BLOCK_T": 32, "BLOCK_K": 64, "SPLITS": 1}, num_warps=8, num_stages=3),
)
FEW_CONFIGS = (
    Config({"BLOCK_T": 16, "BLOCK_K": 128, "SPLITS": 14}, num_warps=8, num_stages=3),
    Config({"BLOCK_T": 16, "BLOCK_K": 64, "SPLITS": 28}, num_warps=8, num_stages=3),
    Config({"BLOCK_T": 16, "BLOCK_K": 64, "SPLITS": 14}, num_warps=8, num_stages=4),
    Config({"BLOCK_T": 16, "BLOCK_K": 128, "SPLITS": 8}, num_warps=8, num_stages=3),
    Config({"BLOCK_T": 16, "BLOCK_K": 64, "SPLITS": 16}, num_warps=4, num_stages=4),
)
# Stand for NaN and for experts of other groups: finite, so that none is chosen twice.
UNKNOWN, DROPPED = tl.constexpr(-2e30), tl.constexpr(-8e30)


@dataclass(frozen=True, slots=True)
class Choice:
    """How experts are chosen: the fields of ModelConfig."""

    num_groups: int
    num_kept_groups: int
    num_chosen: int
    scaling: float = 1.0
    is_normalised: bool = True
    num_shared: int = 0  # experts that every token also goes to, with weight 1: numbers E, E + 1...


def choose_experts(
    x_TD: Tensor,
    weight_ED: Tensor,
    bias_E: Tensor,
    choice: Choice,
    *,
    out: tuple[Tensor, Tensor] | None = None,
    counters: Tensor | None = None,
    config: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """Ids int32 and weights fp32, (T, K + shared), best first. x and weight of one type, bias fp32.

    `counters`: see arrival.py.
    """
    check_choice(x_TD, weight_ED, bias_E, choice)
    num_tokens, hidden = x_TD.shape
    num_experts = len(weight_ED)
    group_size = num_experts // choice.num_groups
    columns = choice.num_chosen + choice.num_shared
    if config is None:
        config = (FEW_CONFIGS if num_tokens <= FEW_TOKENS else CONFIGS)[0]
    if out is None:
        shape = num_tokens, columns
        out = bias_E.new_empty(shape, dtype=torch.int32), bias_E.new_empty(shape)
    num_tiles, splits = triton.cdiv(num_tokens, config.blocks["BLOCK_T"]), config.blocks["SPLITS"]
    if num_tokens == 0:
        return out
    block_s = max(triton.next_power_of_2(group_size), 16 // triton.next_power_of_2(choice.num_groups))
    block_e = triton.next_power_of_2(choice.num_groups) * block_s
    parts = bias_E.new_empty(num_tiles * splits, config.blocks["BLOCK_T"], block_e) if splits > 1 else bias_E
    counters = counters_for(num_tiles, x_TD.device, counters) if splits > 1 else bias_E
    _choose_kernel[(num_tiles, splits)](
        x_TD,
        weight_ED,
        bias_E,
        out[0],
        out[1],
        parts,
        counters,
        num_tokens,
        choice.scaling,
        D=hidden,
        E=num_experts,
        G=choice.num_groups,
        S=group_size,
        KEPT=choice.num_kept_groups,
        K=choice.num_chosen,
        SHARED=choice.num_shared,
        IS_NORMALISED=choice.is_normalised,
        BLOCK_G=triton.next_power_of_2(choice.num_groups),
        BLOCK_S=block_s,
        BLOCK_C=triton.next_power_of_2(columns),
        **config.options,
    )
    return out


def check_choice(x_TD: Tensor, weight_ED: Tensor, bias_E: Tensor, choice: Choice) -> None:
    num_experts, hidden = weight_ED.shape
    if x_TD.shape[1:] != (hidden,) or x_TD.dtype != weight_ED.dtype:
        raise ValueError(f"x {x_TD.dtype} {tuple(x_TD.shape)}: {weight_ED.dtype} (T, {hidden}) expected")
    if bias_E.shape != (num_experts,) or bias_E.dtype != torch.float32:
        raise ValueError(f"bias {bias_E.dtype} {tuple(bias_E.shape)}: fp32 ({num_experts},) expected")
    if hidden % 8 or not (x_TD.is_contiguous() and weight_ED.is_contiguous()):
        raise ValueError(f"hidden {hidden}: contiguous rows of a multiple of 8 expected")
    if num_experts % choice.num_groups or num_experts < 2 * choice.num_groups:
        raise ValueError(f"{choice.num_groups} groups of {num_experts} experts: equal ones of at least 2 expected")
    if not 1 <= choice.num_kept_groups <= choice.num_groups:
        raise ValueError(f"{choice.num_kept_groups} groups kept: 1 to {choice.num_groups} expected")
    most = choice.num_kept_groups * (num_experts // choice.num_groups)
    if not 1 <= choice.num_chosen <= most:
        raise ValueError(f"{choice.num_chosen} experts chosen: 1 to {most} expected")


def plain_choose_experts(x_TD: Tensor, weight_ED: Tensor, bias_E: Tensor, choice: Choice) -> tuple[Tensor, Tensor]:
    num_tokens, num_experts = len(x_TD), len(weight_ED)
    scores_TE = torch.sigmoid(x_TD.float() @ weight_ED.float().T)
    biased_TE = scores_TE + bias_E
    biased_TE = torch.where(biased_TE.isnan(), UNKNOWN.value, biased_TE)
    groups_TGS = biased_TE.view(num_tokens, choice.num_groups, -1)
    group_scores_TG = groups_TGS.sort(dim=-1, descending=True).values[..., :2].sum(dim=-1)
    kept = group_scores_TG.sort(dim=-1, descending=True, stable=True).indices[:, : choice.num_kept_groups]
    is_dropped_TG = torch.ones_like(group_scores_TG, dtype=torch.bool).scatter_(1, kept, False)
    biased_TE = groups_TGS.masked_fill(is_dropped_TG[..., None], DROPPED.value).flatten(1)
    ids_TK = biased_TE.sort(dim=-1, descending=True, stable=True).indices[:, : choice.num_chosen]
    weights_TK = scores_TE.gather(1, ids_TK)
    if choice.is_normalised:
        weights_TK = weights_TK / (weights_TK.sum(dim=-1, keepdim=True) + 1e-20)
    shared = torch.arange(num_experts, num_experts + choice.num_shared, device=ids_TK.device).expand(num_tokens, -1)
    ones = weights_TK.new_ones(num_tokens, choice.num_shared)
    return torch.cat((ids_TK, shared), 1).int(), torch.cat((weights_TK * choice.scaling, ones), 1)


@triton.jit
def _choose_kernel(
    x_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    id_ptr: tl.tensor,
    weight_out_ptr: tl.tensor,
    part_ptr: tl.tensor,
    counter_ptr: tl.tensor,
    num_tokens: tl.tensor,
    scaling: tl.tensor,
    D: tl.constexpr,
    E: tl.constexpr,
    G: tl.constexpr,
    S: tl.constexpr,
    KEPT: tl.constexpr,
    K: tl.constexpr,
    SHARED: tl.constexpr,
    IS_NORMALISED: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_K: tl.constexpr,
    SPLITS: tl.constexpr,
) -> None:
    """Scores of a tile of tokens, or their share of the inner dimension; whoever comes last chooses."""
    tile, split = tl.program_id(0), tl.program_id(1)
    BLOCK_E: tl.constexpr = BLOCK_G * BLOCK_S
    STEPS: tl.constexpr = (D + BLOCK_K * SPLITS - 1) // (BLOCK_K * SPLITS)
    places = tl.arange(0, BLOCK_E)  # groups are padded to powers of two
    is_expert = (places // BLOCK_S < G) & (places % BLOCK_S < S)
    experts = tl.where(is_expert, places // BLOCK_S * S + places % BLOCK_S, 0)
    tokens = tile * BLOCK_T + tl.arange(0, BLOCK_T)
    is_token = tokens < num_tokens
    inner = split * STEPS * BLOCK_K + tl.arange(0, BLOCK_K)
    x_ptrs = x_ptr + tokens.to(tl.int64)[None, :] * D + inner[:, None]
    weight_ptrs = weight_ptr + experts[:, None] * D + inner[None, :]
    logits = tl.zeros((BLOCK_E, BLOCK_T), tl.float32)
    for step in range(STEPS):
        if D % (BLOCK_K * SPLITS) == 0 and BLOCK_E == E:
            weight = tl.load(weight_ptrs + step * BLOCK_K)
            x = tl.load(x_ptrs + step * BLOCK_K, mask=is_token[None, :], other=0.0)
        else:
            is_inner = inner + step * BLOCK_K < D
            weight = tl.load(weight_ptrs + step * BLOCK_K, mask=is_expert[:, None] & is_inner[None, :], other=0.0)
            x = tl.load(x_ptrs + step * BLOCK_K, mask=is_token[None, :] & is_inner[:, None], other=0.0)
        logits = tl.dot(weight, x, logits, input_precision="ieee")
    if SPLITS > 1:
        part_ptrs = part_ptr + places[:, None] * BLOCK_T + tl.arange(0, BLOCK_T)[None, :]
        first = tile * SPLITS * BLOCK_E * BLOCK_T
        tl.store(part_ptrs + first + split * BLOCK_E * BLOCK_T, logits)
        if is_last(counter_ptr + tile, SPLITS):
            total = tl.zeros((BLOCK_E, BLOCK_T), tl.float32)
            for part in tl.static_range(SPLITS):  # unrolled, so that several are on their way at once
                total += tl.load(part_ptrs + first + part * BLOCK_E * BLOCK_T, cache_modifier=".cg")
            _choose(
                tl.trans(total), places, is_expert, experts, bias_ptr, id_ptr, weight_out_ptr, tokens, is_token,
                scaling, E, G, KEPT, K, SHARED, IS_NORMALISED, BLOCK_G, BLOCK_S, BLOCK_C, BLOCK_T,
            )  # fmt: skip
    else:
        _choose(
            tl.trans(logits), places, is_expert, experts, bias_ptr, id_ptr, weight_out_ptr, tokens, is_token, scaling,
            E, G, KEPT, K, SHARED, IS_NORMALISED, BLOCK_G, BLOCK_S, BLOCK_C, BLOCK_T,
        )  # fmt: skip


@triton.jit
def _choose(
    logits: tl.tensor,
    places: tl.tensor,
    is_expert: tl.tensor,
    experts: tl.tensor,
    bias_ptr: tl.tensor,
    id_ptr: tl.tensor,
    weight_out_ptr: tl.tensor,
    tokens: tl.tensor,
    is_token: tl.tensor,
    scaling: tl.tensor,
    E: tl.constexpr,
    G: tl.constexpr,
    KEPT: tl.constexpr,
    K: tl.constexpr,
    SHARED: tl.constexpr,
    IS_NORMALISED: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_T: tl.constexpr,
) -> None:
    """logits (tokens, places): groups are ranked by their two best, then the best of the kept ones taken in turn."""
    infinity: tl.constexpr = float("inf")
    scores = tl.sigmoid(logits)
    biased = scores + tl.load(bias_ptr + experts)[None, :]
    biased = tl.where(biased == biased, biased, UNKNOWN)
    biased = tl.where(is_expert[None, :], biased, -infinity)
    groups = tl.reshape(biased, (BLOCK_T, BLOCK_G, BLOCK_S))
    best = tl.argmax(groups, axis=2, tie_break_left=True)
    others = tl.where(tl.arange(0, BLOCK_S)[None, None, :] == best[:, :, None], -infinity, groups)
    group_scores = tl.max(groups, axis=2) + tl.max(others, axis=2)
    numbers = tl.arange(0, BLOCK_G)
    is_better = group_scores[:, None, :] > group_scores[:, :, None]
    is_equal_before = (group_scores[:, None, :] == group_scores[:, :, None]) & (
        numbers[None, None, :] < numbers[None, :, None]
    )
    rank = tl.sum((is_better | is_equal_before).to(tl.int32), axis=2)
    groups = tl.where((rank < KEPT)[:, :, None] | (groups == -infinity), groups, DROPPED)
    biased = tl.reshape(groups, (BLOCK_T, BLOCK_G * BLOCK_S))

    columns = tl.arange(0, BLOCK_C)
    ids = tl.zeros((BLOCK_T, BLOCK_C), tl.int32) + (E + columns - K)[None, :]  # the shared ones, behind the chosen
    weights = tl.zeros((BLOCK_T, BLOCK_C), tl.float32)
    for k in tl.static_range(K):
        place = tl.argmax(biased, axis=1, tie_break_left=True)
        is_chosen = places[None, :] == place[:, None]
        score = tl.sum(tl.where(is_chosen, scores, 0.0), axis=1)
        expert = tl.sum(tl.where(is_chosen, experts[None, :], 0), axis=1)
        biased = tl.where(is_chosen, -infinity, biased)
        ids = tl.where(columns[None, :] == k, expert[:, None], ids)
        weights = tl.where(columns[None, :] == k, score[:, None], weights)
    if IS_NORMALISED:
        weights = weights / (tl.sum(weights, axis=1)[:, None] + 1e-20)
    weights = tl.where(columns[None, :] < K, weights * scaling, 1.0)
    out = tokens.to(tl.int64)[:, None] * (K + SHARED) + columns[None, :]
    is_out = is_token[:, None] & (columns < K + SHARED)[None, :]
    tl.store(id_ptr + out, ids, mask=is_out)
    tl.store(weight_out_ptr + out, weights, mask=is_out)
