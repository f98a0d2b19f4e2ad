"""The next token of each row of logits, drawn on the card as inference/sampler.py draws it, without the host waiting.

Covered: greedy, temperature, top_k, top_p, in that order, by the row's own seed, choice and position. Left to the host:
penalties and grammars (they change the logits before), log probabilities. Ties go to the lowest token id. The scan
reads the logits once, and keeps the largest of each cell of 128; where top_k or top_p hides tokens, only cells that can
hold one of the best are read again. Thresholds are found by bisection over the bits of a number, not by sorting.
Legend: S rows, V vocabulary, N cells of 128 of a row, M tiles of cells, P parts of a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.launch import Config
from inference.kernels.noise import gumbel, noise_key, rough_gumbel, uniform_bits

LOWEST = tl.constexpr(-0x80000000)  # below the key of any number
CELL = 128
CANDIDATES = 4096  # of one row: more, and the row itself is searched
NUCLEUS_CELLS = 256  # whose best are sought first for top_p

# CELLS make a tile; PARTS programs share a row in the scan, and one of CHOOSERS warps chooses.
CONFIGS = tuple(
    Config({"CELLS": cells, "PARTS": parts, "CHOOSERS": choosers}, num_warps=warps, num_stages=1)
    for cells, parts, choosers, warps in (
        (16, 8, 8, 4),
        (16, 16, 8, 4),
        (16, 4, 8, 4),
        (32, 8, 8, 8),
        (32, 8, 16, 4),
        (8, 8, 4, 4),
        (16, 16, 16, 8),
    )
)


@dataclass(frozen=True, slots=True)
class Draws:
    """How each row is drawn; all on the card, so that a step may be replayed with other values."""

    temperature_S: Tensor  # fp32; 0: the largest logit
    top_k_S: Tensor  # int32; 0: every token
    top_p_S: Tensor  # fp64
    seed_S: Tensor  # int64
    choice_S: Tensor  # int64
    position_S: Tensor  # int64: tokens put out so far


def sample(logits_SV: Tensor, draws: Draws, *, out: Tensor | None = None, config: Config = CONFIGS[0]) -> Tensor:
    """int64 (S,); -1 where a row's logits are not all finite: its sequence fails, no other."""
    num_rows, vocabulary = logits_SV.shape
    if logits_SV.dtype != torch.float32 or logits_SV.stride(1) != 1:
        raise ValueError(f"logits: {logits_SV.dtype}, strides {logits_SV.stride()}: fp32, contiguous rows expected")
    device = logits_SV.device
    out = torch.empty(num_rows, dtype=torch.int64, device=device) if out is None else out
    if num_rows == 0:
        return out
    cells, parts = config.blocks["CELLS"], config.blocks["PARTS"]
    num_tiles = -(-vocabulary // (CELL * cells))
    parts = min(parts, num_tiles)
    peaks_SN = torch.empty(num_rows, num_tiles * cells, dtype=torch.float32, device=device)
    scores_SM = torch.empty(num_rows, num_tiles, dtype=torch.float32, device=device)
    totals_S2P = torch.empty(num_rows, 2, parts, dtype=torch.float32, device=device)
    parameters = (
        draws.temperature_S,
        draws.top_k_S,
        draws.top_p_S,
        draws.seed_S,
        draws.choice_S,
        draws.position_S,
    )
    _scan[(num_rows, parts)](
        logits_SV,
        *parameters,
        peaks_SN,
        scores_SM,
        totals_S2P,
        logits_SV.stride(0),
        VOCABULARY=vocabulary,
        TILES=num_tiles,
        CELLS=cells,
        PARTS=parts,
        num_warps=config.num_warps,
        num_stages=config.num_stages,
    )
    candidates_SC = torch.empty(num_rows, 2, CANDIDATES, dtype=torch.int32, device=device)
    chosen_cells_SN = torch.empty(num_rows, num_tiles * cells, dtype=torch.int32, device=device)
    _choose[(num_rows,)](
        logits_SV,
        *parameters,
        peaks_SN,
        scores_SM,
        totals_S2P,
        candidates_SC.view(torch.float32),
        candidates_SC,
        chosen_cells_SN,
        out,
        logits_SV.stride(0),
        VOCABULARY=vocabulary,
        TILES=num_tiles,
        CELLS=cells,
        PARTS=parts,
        WIDEST=CANDIDATES,
        NUCLEUS=NUCLEUS_CELLS,
        num_warps=config.blocks["CHOOSERS"],
        num_stages=config.num_stages,
    )
    return out


def plain_sample(logits_SV: Tensor, draws: Draws) -> Tensor:
    """int64 (S,), by sorting each row whole; equal logits stand by their token ids."""
    tokens = []
    for row, logits_V in enumerate(logits_SV):
        temperature, top_k, top_p = (
            float(draws.temperature_S[row]),
            int(draws.top_k_S[row]),
            float(draws.top_p_S[row]),
        )
        if not bool(logits_V.isfinite().all()):
            tokens.append(-1)
            continue
        if temperature == 0:
            tokens.append(int(logits_V.cpu().argmax()))
            continue
        logits_V, ids_V = (logits_V / draws.temperature_S[row]).sort(descending=True, stable=True)
        kept = len(ids_V) if top_k == 0 else min(top_k, len(ids_V))
        logits_V, ids_V = logits_V[:kept], ids_V[:kept]
        if top_p < 1:
            shares_V = (logits_V - logits_V[0]).exp().double()
            before_V = shares_V.cumsum(0) - shares_V
            kept = max(1, int((before_V < top_p * shares_V.sum()).sum()))
        scores_V = logits_V[:kept].double() + _plain_noise(draws, row, ids_V[:kept])
        tokens.append(int(ids_V[:kept][scores_V.argmax()]))
    return torch.tensor(tokens, dtype=torch.int64, device=logits_SV.device)


def _plain_noise(draws: Draws, row: int, ids_V: Tensor) -> Tensor:
    mask, golden, mix1, mix2 = (1 << 64) - 1, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

    def signed(bits: int) -> int:
        return bits - (1 << 64) if bits >> 63 else bits

    def shifted(state: Tensor, count: int) -> Tensor:
        return (state >> count) & ((1 << (64 - count)) - 1)

    key = 0
    for part in (draws.seed_S, draws.choice_S, draws.position_S):
        key = ((key ^ (int(part[row]) & mask)) + golden) & mask
        key = ((key ^ (key >> 30)) * mix1) & mask
        key = ((key ^ (key >> 27)) * mix2) & mask
        key ^= key >> 31
    state_V = ids_V * signed(golden) + signed(key)
    state_V = (state_V ^ shifted(state_V, 30)) * signed(mix1)
    state_V = (state_V ^ shifted(state_V, 27)) * signed(mix2)
    state_V = state_V ^ shifted(state_V, 31)
    return -torch.log(-torch.log((shifted(state_V, 11).double() + 0.5) * 2.0**-53))


@triton.jit
def _scan(
    logits_SV: tl.tensor,
    temperature_S: tl.tensor,
    top_k_S: tl.tensor,
    top_p_S: tl.tensor,
    seed_S: tl.tensor,
    choice_S: tl.tensor,
    position_S: tl.tensor,
    peaks_SN: tl.tensor,
    scores_SM: tl.tensor,
    totals_S2P: tl.tensor,
    stride: tl.tensor,
    VOCABULARY: tl.constexpr,
    TILES: tl.constexpr,
    CELLS: tl.constexpr,
    PARTS: tl.constexpr,
) -> None:
    """Of each cell the largest logit over temperature; of each part their peak and the sum of e^(logit - peak), which
    is NaN where a logit is not finite; of each tile, where every token may be drawn, about its best score."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    temperature, top_k, top_p = _limits(temperature_S, top_k_S, top_p_S, row, VOCABULARY)
    is_open = (temperature > 0) & (top_k == 0) & (top_p >= 1)
    key = noise_key(tl.load(seed_S + row), tl.load(choice_S + row), tl.load(position_S + row))
    divisor = tl.where(temperature > 0, temperature, 1.0)
    PART_TILES: tl.constexpr = (TILES + PARTS - 1) // PARTS
    first, stop = part * PART_TILES, tl.minimum(part * PART_TILES + PART_TILES, TILES)
    places = tl.arange(0, CELLS)[:, None] * 128 + tl.arange(0, 128)[None, :]
    peak, total = float("-inf"), 0.0
    for tile in tl.range(first, stop):
        ids = tile * (CELLS * 128) + places
        inside = ids < VOCABULARY
        logits = tl.load(logits_SV + row * stride + ids, mask=inside, other=0.0, eviction_policy="evict_first")
        bad = tl.sum(tl.where(logits - logits == 0.0, 0, 1))
        x = tl.where(inside, tl.math.div_rn(logits, divisor), float("-inf"))
        cell_peaks = tl.max(x, axis=1)
        tl.store(peaks_SN + row * (TILES * CELLS) + tile * CELLS + tl.arange(0, CELLS), cell_peaks)
        higher = tl.maximum(peak, tl.max(cell_peaks, axis=0))
        total = total * tl.exp(peak - higher) + tl.sum(tl.exp(x - higher))
        total = tl.where(bad > 0, float("nan"), total)
        peak = higher
        if is_open:
            scores = x + rough_gumbel(uniform_bits(key, ids))
            tl.store(scores_SM + row * TILES + tile, tl.max(scores))
    tl.store(totals_S2P + row * (2 * PARTS) + part, peak)
    tl.store(totals_S2P + row * (2 * PARTS) + PARTS + part, total)


@triton.jit
def _choose(
    logits_SV: tl.tensor,
    temperature_S: tl.tensor,
    top_k_S: tl.tensor,
    top_p_S: tl.tensor,
    seed_S: tl.tensor,
    choice_S: tl.tensor,
    position_S: tl.tensor,
    peaks_SN: tl.tensor,
    scores_SM: tl.tensor,
    totals_S2P: tl.tensor,
    candidates_S2C: tl.tensor,
    candidate_ids_S2C: tl.tensor,
    chosen_cells_SN: tl.tensor,
    out_S: tl.tensor,
    stride: tl.tensor,
    VOCABULARY: tl.constexpr,
    TILES: tl.constexpr,
    CELLS: tl.constexpr,
    PARTS: tl.constexpr,
    WIDEST: tl.constexpr,
    NUCLEUS: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    temperature, top_k, top_p = _limits(temperature_S, top_k_S, top_p_S, row, VOCABULARY)
    key = noise_key(tl.load(seed_S + row), tl.load(choice_S + row), tl.load(position_S + row))
    logits = logits_SV + row * stride
    peak, total = _total(totals_S2P + row * (2 * PARTS), PARTS)
    peaks = peaks_SN + row * (TILES * CELLS)
    if (total != total) | (peak - peak != 0):
        tl.store(out_S + row, -1)
    elif temperature == 0:
        tl.store(out_S + row, _first_of_largest(logits, peaks, peak, TILES * CELLS, VOCABULARY))
    elif (top_k == 0) & (top_p >= 1):
        tl.store(out_S + row, _draw_of_all(logits, scores_SM + row * TILES, temperature, key, VOCABULARY, TILES, CELLS))
    else:
        candidates, candidate_ids = candidates_S2C + row * (2 * WIDEST), candidate_ids_S2C + row * (2 * WIDEST) + WIDEST
        count = _gather(logits, peaks, chosen_cells_SN + row * (TILES * CELLS), candidates, candidate_ids, temperature,
                        tl.where(top_k > 0, top_k, NUCLEUS), top_k, VOCABULARY, TILES * CELLS, WIDEST)  # fmt: skip
        limit = tl.where(top_p < 1, top_p, 2.0) * total.to(tl.float64)
        if (top_k == 0) & (count > 0):  # do they hold enough of the probability?
            mass = _measure(candidates, candidate_ids, count, temperature, peak, LOWEST, LOWEST, -1, True, WIDEST)[1]
            count = tl.where(mass >= limit, count, 0)
        if count > 0:
            token = _draw(candidates, candidate_ids, count, temperature, peak, top_k, top_p, limit, key, True, WIDEST)
        else:
            token = _draw(logits, candidate_ids, VOCABULARY, temperature, peak, top_k, top_p, limit, key, False, WIDEST)
        tl.store(out_S + row, token)


@triton.jit
def _limits(
    temperature_S: tl.tensor, top_k_S: tl.tensor, top_p_S: tl.tensor, row: tl.tensor, VOCABULARY: tl.constexpr
) -> tl.tensor:
    top_k = tl.load(top_k_S + row)
    top_k = tl.where((top_k > 0) & (top_k < VOCABULARY), top_k, 0)
    return tl.load(temperature_S + row), top_k, tl.load(top_p_S + row)


@triton.jit
def _total(totals: tl.tensor, PARTS: tl.constexpr) -> tl.tensor:
    peak, total = tl.load(totals), tl.load(totals + PARTS)
    for part in tl.range(1, PARTS):
        part_peak = tl.load(totals + part)
        higher = tl.maximum(peak, part_peak)
        total = total * tl.exp(peak - higher) + tl.load(totals + PARTS + part) * tl.exp(part_peak - higher)
        peak = higher
    return peak, total


@triton.jit
def _first_of_largest(
    logits: tl.tensor, peaks: tl.tensor, peak: tl.tensor, NUM_CELLS: tl.constexpr, VOCABULARY: tl.constexpr
) -> tl.tensor:
    """Cells stand in the order of their tokens: the first that reaches the peak holds the first that does."""
    cells = tl.arange(0, triton.next_power_of_2(NUM_CELLS))
    cell_peaks = tl.load(peaks + cells, mask=cells < NUM_CELLS, other=float("-inf"))
    ids = tl.min(tl.where(cell_peaks == peak, cells, NUM_CELLS)) * 128 + tl.arange(0, 128)
    x = tl.load(logits + ids, mask=ids < VOCABULARY, other=float("-inf"))
    return tl.min(tl.where(x == peak, ids, VOCABULARY)).to(tl.int64)


@triton.jit
def _draw_of_all(
    logits: tl.tensor,
    scores: tl.tensor,
    temperature: tl.tensor,
    key: tl.tensor,
    VOCABULARY: tl.constexpr,
    TILES: tl.constexpr,
    CELLS: tl.constexpr,
) -> tl.tensor:
    """Scores of the scan are rough: each tile that comes near the best of them is scored again in fp64."""
    tiles = tl.arange(0, triton.next_power_of_2(TILES))
    rough = tl.load(scores + tiles, mask=tiles < TILES, other=float("-inf"))
    leader = tl.max(rough)
    near = leader - (0.000244140625 + tl.abs(leader) * 9.5367431640625e-07)  # 2^-12, and 2^-20 of it
    best, best_id = tl.full((), float("-inf"), tl.float64), tl.full((), VOCABULARY, tl.int32)
    while leader >= near:
        tile = tl.min(tl.where(rough == leader, tiles, TILES))
        ids = tile * (CELLS * 128) + tl.arange(0, CELLS * 128)
        x = tl.math.div_rn(tl.load(logits + ids, mask=ids < VOCABULARY, other=0.0), temperature)
        exact = tl.where(ids < VOCABULARY, x.to(tl.float64) + gumbel(uniform_bits(key, ids)), float("-inf"))
        best, best_id = _better(best, best_id, exact, ids)
        rough = tl.where(tiles == tile, float("-inf"), rough)
        leader = tl.max(rough)
    return best_id.to(tl.int64)


@triton.jit
def _better(best: tl.tensor, best_id: tl.tensor, scores: tl.tensor, ids: tl.tensor) -> tl.tensor:
    highest = tl.max(scores)
    first = tl.min(tl.where(scores == highest, ids, 0x7FFFFFFF))
    first = tl.where(highest == best, tl.minimum(first, best_id), first)
    return tl.maximum(best, highest), tl.where(highest >= best, first, best_id)


@triton.jit
def _gather(
    logits: tl.tensor,
    peaks: tl.tensor,
    chosen_cells: tl.tensor,
    candidates: tl.tensor,
    candidate_ids: tl.tensor,
    temperature: tl.tensor,
    wanted: tl.tensor,
    top_k: tl.tensor,
    VOCABULARY: tl.constexpr,
    NUM_CELLS: tl.constexpr,
    WIDEST: tl.constexpr,
) -> tl.tensor:
    """Writes all tokens at least as likely as the `wanted`-best cell's best, of which there are `wanted` or more.

    Returns how many; 0 where they are too many, or top_k asks for more than there are cells.
    """
    cells = tl.arange(0, triton.next_power_of_2(NUM_CELLS))
    keys = _ordered(tl.load(peaks + cells, mask=cells < NUM_CELLS, other=float("inf")))
    bound, above = tl.min(keys).to(tl.int64), tl.max(tl.where(cells < NUM_CELLS, keys, LOWEST)).to(tl.int64)
    keys = tl.where(cells < NUM_CELLS, keys, LOWEST)
    while bound < above:
        middle = (bound + above + 1) >> 1
        enough = tl.sum(tl.where(keys >= middle, 1, 0)) >= wanted
        bound, above = tl.where(enough, middle, bound), tl.where(enough, above, middle - 1)
    is_chosen = keys >= bound
    num_chosen = tl.sum(is_chosen.to(tl.int32))
    tl.store(chosen_cells + tl.cumsum(is_chosen.to(tl.int32), 0) - 1, cells, mask=is_chosen)
    tl.debug_barrier()
    count = tl.full((), 0, tl.int32)
    if top_k <= NUM_CELLS:
        for start in tl.range(0, num_chosen, 16):
            places = start + tl.arange(0, 2048) // 128
            cell = tl.load(chosen_cells + places, mask=places < num_chosen, other=NUM_CELLS)
            ids = cell * 128 + tl.arange(0, 2048) % 128
            x = tl.load(logits + ids, mask=ids < VOCABULARY, other=0.0)
            is_candidate = (ids < VOCABULARY) & (_ordered(tl.math.div_rn(x, temperature)) >= bound)
            targets = count + tl.cumsum(is_candidate.to(tl.int32), 0) - 1
            is_candidate = is_candidate & (targets < WIDEST)
            tl.store(candidates + targets, x, mask=is_candidate)
            tl.store(candidate_ids + targets, ids, mask=is_candidate)
            count = tl.max(targets) + 1
        tl.debug_barrier()
    return tl.where(count <= WIDEST, count, 0)


@triton.jit
def _draw(
    values: tl.tensor,
    value_ids: tl.tensor,
    count: tl.tensor,
    temperature: tl.tensor,
    peak: tl.tensor,
    top_k: tl.tensor,
    top_p: tl.tensor,
    limit: tl.tensor,
    noise: tl.tensor,
    LISTED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """Of a list of candidates, or of the whole row, whose tokens are then their own ids."""
    key_k, id_k = tl.full((), LOWEST, tl.int64), tl.full((), -1, tl.int32)
    if top_k > 0:
        above = _ordered(peak).to(tl.int64)
        while key_k < above:
            middle = (key_k + above + 1) >> 1
            num = _measure(values, value_ids, count, temperature, peak, middle - 1, LOWEST, -1, LISTED, BLOCK)[0]
            key_k, above = tl.where(num >= top_k, middle, key_k), tl.where(num >= top_k, above, middle - 1)
        num, _ = _measure(values, value_ids, count, temperature, peak, key_k, LOWEST, -1, LISTED, BLOCK)
        id_k = _last_of_tied(values, value_ids, count, temperature, key_k, top_k - num, LOWEST, -1, LISTED, BLOCK)
        whole = _measure(values, value_ids, count, temperature, peak, LOWEST, key_k, id_k, LISTED, BLOCK)[1]
        limit = tl.where(top_p < 1, top_p, 2.0) * whole
    key_p, id_p = tl.full((), LOWEST, tl.int64), tl.full((), -1, tl.int32)
    if top_p < 1:
        limit = tl.maximum(limit, 1e-30)  # the best is always kept
        above = _ordered(peak).to(tl.int64)
        while key_p < above:  # the first number that less than `limit` lies above
            middle = (key_p + above) >> 1
            mass = _measure(values, value_ids, count, temperature, peak, middle, key_k, id_k, LISTED, BLOCK)[1]
            key_p, above = tl.where(mass < limit, key_p, middle + 1), tl.where(mass < limit, middle, above)
        mass = _measure(values, value_ids, count, temperature, peak, key_p, key_k, id_k, LISTED, BLOCK)[1]
        each = tl.exp(_unordered(key_p) - peak).to(tl.float64)
        num_tied = tl.minimum(tl.ceil((limit - mass) / each), 2147483647.0).to(tl.int32)
        id_p = _last_of_tied(values, value_ids, count, temperature, key_p, num_tied, key_k, id_k, LISTED, BLOCK)
    best, best_id = tl.full((), float("-inf"), tl.float64), tl.full((), 0x7FFFFFFF, tl.int32)
    for start in tl.range(0, count, BLOCK):
        x, keys, ids = _block(values, value_ids, start, count, temperature, LISTED, BLOCK)
        is_kept = _is_above(keys, ids, key_k, id_k) & _is_above(keys, ids, key_p, id_p)
        scores = tl.where(is_kept, x.to(tl.float64) + gumbel(uniform_bits(noise, ids)), float("-inf"))
        best, best_id = _better(best, best_id, scores, ids)
    return best_id.to(tl.int64)


@triton.jit
def _measure(
    values: tl.tensor,
    value_ids: tl.tensor,
    count: tl.tensor,
    temperature: tl.tensor,
    peak: tl.tensor,
    above: tl.tensor,
    key_k: tl.tensor,
    id_k: tl.tensor,
    LISTED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """How many of the top k lie above a number, and e^(number - peak) of them together, in fp64."""
    num, mass = tl.full((), 0, tl.int32), tl.full((), 0.0, tl.float64)
    for start in tl.range(0, count, BLOCK):
        x, keys, ids = _block(values, value_ids, start, count, temperature, LISTED, BLOCK)
        is_above = (keys > above) & _is_above(keys, ids, key_k, id_k)
        num += tl.sum(is_above.to(tl.int32))
        mass += tl.sum(tl.where(is_above, tl.exp(x - peak), 0.0).to(tl.float64))
    return num, mass


@triton.jit
def _last_of_tied(
    values: tl.tensor,
    value_ids: tl.tensor,
    count: tl.tensor,
    temperature: tl.tensor,
    tied: tl.tensor,
    wanted: tl.tensor,
    key_k: tl.tensor,
    id_k: tl.tensor,
    LISTED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """The token id up to which `wanted` of those that are equal to `tied` stand; the largest where all may."""
    last, above = tl.full((), 0x7FFFFFFF, tl.int32), tl.full((), 0x7FFFFFFF, tl.int32)
    if _count_tied(values, value_ids, count, temperature, tied, last, key_k, id_k, LISTED, BLOCK) > wanted:
        last = tl.full((), 0, tl.int32)
    while last < above:
        middle = last + ((above - last) >> 1)
        num = _count_tied(values, value_ids, count, temperature, tied, middle, key_k, id_k, LISTED, BLOCK)
        last, above = tl.where(num >= wanted, last, middle + 1), tl.where(num >= wanted, middle, above)
    return last


@triton.jit
def _count_tied(
    values: tl.tensor,
    value_ids: tl.tensor,
    count: tl.tensor,
    temperature: tl.tensor,
    tied: tl.tensor,
    last: tl.tensor,
    key_k: tl.tensor,
    id_k: tl.tensor,
    LISTED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    num = tl.full((), 0, tl.int32)
    for start in tl.range(0, count, BLOCK):
        _, keys, ids = _block(values, value_ids, start, count, temperature, LISTED, BLOCK)
        num += tl.sum(((keys == tied) & (ids <= last) & _is_above(keys, ids, key_k, id_k)).to(tl.int32))
    return num


@triton.jit
def _block(
    values: tl.tensor,
    value_ids: tl.tensor,
    start: tl.tensor,
    count: tl.tensor,
    temperature: tl.tensor,
    LISTED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """Logits over temperature, their keys (the lowest beyond the end) and token ids."""
    places = start + tl.arange(0, BLOCK)
    x = tl.math.div_rn(tl.load(values + places, mask=places < count, other=0.0), temperature)
    keys = tl.where(places < count, _ordered(x), LOWEST)
    if LISTED:
        ids = tl.load(value_ids + places, mask=places < count, other=0)
    else:
        ids = places
    return x, keys, ids


@triton.jit
def _is_above(keys: tl.tensor, ids: tl.tensor, key: tl.tensor, last: tl.tensor) -> tl.tensor:
    """Above a number, or equal to it and not after a token."""
    return (keys > key) | ((keys == key) & (ids <= last))


@triton.jit
def _ordered(x: tl.tensor) -> tl.tensor:
    """int32 that stand in the order of the numbers; both zeros are one."""
    bits = (x + 0.0).to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def _unordered(key: tl.tensor) -> tl.tensor:
    bits = key.to(tl.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)
