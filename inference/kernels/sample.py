"""The next token of each row of logits, drawn on the card as inference/sampler.py draws it, without the host waiting.

Covered: greedy, temperature, top_k, top_p, in that order, by the row's own seed, choice and position. Left to the host:
penalties and grammars (they change the logits before), log probabilities. Ties go to the lowest token id.

The scan reads the logits once. Where every token may be drawn it scores them, roughly and only where a token can still
win; else it keeps the largest logit of each cell of 128, and cells that can hold one of the best are read again
(candidates.py), or all (row_search.py) where there are too many.
Legend: S rows, V vocabulary, N cells of 128 of a row, M tiles of cells, P parts of a row, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.candidates import TOO_FLAT, draw_candidate, list_candidates
from inference.kernels.launch import Config, num_multiprocessors
from inference.kernels.noise import gumbel, is_hopeless, noise_key, rough_gumbel, uniform_bits
from inference.kernels.order import better
from inference.kernels.row_search import draw_from_row

CELL = 128
CANDIDATES = 2048  # of one row: more, and the row itself is searched
SEARCH_BLOCK = 8192  # of the row, when it is searched
NUCLEUS_CELLS = 256  # whose best are sought first for top_p

# PROGRAMS of each multiprocessor share the rows in the scan, tiles of CELLS at a time; CHOOSERS warps choose for a row.
CONFIGS = tuple(
    Config({"CELLS": cells, "PROGRAMS": programs, "CHOOSERS": choosers}, num_warps=warps, num_stages=stages)
    for cells, programs, choosers, warps, stages in (
        (16, 4, 8, 8, 3),
        (8, 8, 8, 4, 2),
        (16, 8, 8, 8, 1),
        (16, 4, 8, 8, 2),
        (8, 8, 16, 4, 1),
        (8, 6, 8, 4, 4),
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
    cells = config.blocks["CELLS"]
    num_tiles = -(-vocabulary // (CELL * cells))
    parts = max(1, min(num_tiles, config.blocks["PROGRAMS"] * num_multiprocessors(device) // num_rows))
    peaks_SN = torch.empty(num_rows, num_tiles * cells, dtype=torch.float32, device=device)
    scores_SM = torch.empty(num_rows, num_tiles, dtype=torch.float32, device=device)
    sums_S3P = torch.empty(num_rows, 3, parts, dtype=torch.float32, device=device)
    listed_S2C = torch.empty(num_rows, 2, CANDIDATES, dtype=torch.int32, device=device)
    chosen_cells_SN = torch.empty(num_rows, num_tiles * cells, dtype=torch.int32, device=device)
    asked = draws.temperature_S, draws.top_k_S, draws.top_p_S, draws.seed_S, draws.choice_S, draws.position_S
    _scan[(num_rows, parts)](
        logits_SV,
        *asked,
        peaks_SN,
        scores_SM,
        sums_S3P,
        logits_SV.stride(0),
        parts,
        VOCABULARY=vocabulary,
        TILES=num_tiles,
        CELLS=cells,
        STAGES=config.num_stages,
        num_warps=config.num_warps,
    )
    _choose[(num_rows,)](
        logits_SV,
        *asked,
        peaks_SN,
        scores_SM,
        sums_S3P,
        listed_S2C.view(torch.float32),
        listed_S2C,
        chosen_cells_SN,
        out,
        logits_SV.stride(0),
        parts,
        VOCABULARY=vocabulary,
        TILES=num_tiles,
        CELLS=cells,
        WIDEST=CANDIDATES,
        NUCLEUS=NUCLEUS_CELLS,
        num_warps=config.blocks["CHOOSERS"],
    )
    _search[(num_rows,)](
        logits_SV,
        *asked,
        sums_S3P,
        out,
        logits_SV.stride(0),
        parts,
        VOCABULARY=vocabulary,
        TILES=num_tiles,
        BLOCK=SEARCH_BLOCK,
        num_warps=16,
    )
    return out


def plain_sample(logits_SV: Tensor, draws: Draws) -> Tensor:
    """int64 (S,), by sorting each row whole; equal logits stand in the order of their token ids."""
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
        logits_V, ids_V = logits_V.sort(descending=True, stable=True)
        logits_V = logits_V / draws.temperature_S[row]
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
    sums_S3P: tl.tensor,
    stride: tl.tensor,
    num_parts: tl.tensor,
    VOCABULARY: tl.constexpr,
    TILES: tl.constexpr,
    CELLS: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """Of each part a sum that is NaN where a logit is not finite. Then either of each tile about its best score, -inf
    where it holds no winner; or of each cell its largest logit, of each part the largest and the sum of e^(x - it)."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    temperature, top_k, top_p = _limits(temperature_S, top_k_S, top_p_S, row, VOCABULARY)
    part_tiles = tl.cdiv(TILES, num_parts)
    first, stop = part * part_tiles, tl.minimum(part * part_tiles + part_tiles, TILES)
    places = tl.arange(0, CELLS)[:, None] * 128 + tl.arange(0, 128)[None, :]
    logits, sums = logits_SV + row * stride, sums_S3P + row * (3 * num_parts) + part
    odd = tl.zeros([CELLS, 128], tl.float32)
    if (temperature > 0) & (top_k == 0) & (top_p >= 1):
        key = noise_key(tl.load(seed_S + row), tl.load(choice_S + row), tl.load(position_S + row))
        bound = float("-inf")  # what a score must reach
        for tile in tl.range(first, stop, num_stages=STAGES):
            ids = tile * (CELLS * 128) + places
            inside = ids < VOCABULARY
            x = tl.load(logits + ids, mask=inside, other=0.0, eviction_policy="evict_first")
            odd += x * 0.0
            bits = uniform_bits(key, ids)
            best = float("-inf")
            if tl.min(is_hopeless(bits, x, temperature, bound).to(tl.int32)) == 0:
                scores = tl.where(inside, x / temperature + rough_gumbel(bits), float("-inf"))
                best = tl.max(scores)
                bound = tl.maximum(bound, best - 2 * _margin(best))
            tl.store(scores_SM + row * TILES + tile, best)
    else:
        rate = 1.4426950408889634 / tl.where(temperature > 0, temperature, 1.0)
        peak, total = float("-inf"), 0.0
        for tile in tl.range(first, stop, num_stages=STAGES):
            ids = tile * (CELLS * 128) + places
            inside = ids < VOCABULARY
            x = tl.load(logits + ids, mask=inside, other=0.0, eviction_policy="evict_first")
            odd += x * 0.0
            x = tl.where(inside, x, float("-inf"))
            cell_peaks = tl.max(x, axis=1)
            tl.store(peaks_SN + row * (TILES * CELLS) + tile * CELLS + tl.arange(0, CELLS), cell_peaks)
            higher = tl.maximum(peak, tl.max(cell_peaks, axis=0))
            if top_p < 1:
                total = total * tl.exp2((peak - higher) * rate) + tl.sum(tl.exp2((x - higher) * rate))
            peak = higher
        tl.store(sums + num_parts, peak)
        tl.store(sums + 2 * num_parts, total)
    tl.store(sums, tl.sum(odd))


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
    sums_S3P: tl.tensor,
    listed_S2C: tl.tensor,
    listed_ids_S2C: tl.tensor,
    chosen_cells_SN: tl.tensor,
    out_S: tl.tensor,
    stride: tl.tensor,
    num_parts: tl.tensor,
    VOCABULARY: tl.constexpr,
    TILES: tl.constexpr,
    CELLS: tl.constexpr,
    WIDEST: tl.constexpr,
    NUCLEUS: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    temperature, top_k, top_p = _limits(temperature_S, top_k_S, top_p_S, row, VOCABULARY)
    noise = noise_key(tl.load(seed_S + row), tl.load(choice_S + row), tl.load(position_S + row))
    logits, peaks, sums = logits_SV + row * stride, peaks_SN + row * (TILES * CELLS), sums_S3P + row * (3 * num_parts)
    parts = tl.arange(0, triton.next_power_of_2(TILES))
    odd = tl.sum(tl.load(sums + parts, mask=parts < num_parts, other=0.0))
    if odd != odd:
        tl.store(out_S + row, -1)
    elif (temperature > 0) & (top_k == 0) & (top_p >= 1):
        tl.store(
            out_S + row, _draw_of_all(logits, scores_SM + row * TILES, temperature, noise, VOCABULARY, TILES, CELLS)
        )
    else:
        peak, limit = _peak_and_limit(sums, num_parts, temperature, top_p, TILES)
        if temperature == 0:
            tl.store(out_S + row, _first_of_largest(logits, peaks, peak, TILES * CELLS, VOCABULARY))
        else:
            listed, listed_ids = listed_S2C + row * (2 * WIDEST), listed_ids_S2C + row * (2 * WIDEST) + WIDEST
            count = list_candidates(logits, peaks, chosen_cells_SN + row * (TILES * CELLS), listed, listed_ids,
                                    top_k, VOCABULARY, TILES * CELLS, WIDEST, NUCLEUS)  # fmt: skip
            token = draw_candidate(listed, listed_ids, count, temperature, peak, top_k, top_p, limit, noise, WIDEST)
            tl.store(out_S + row, token)


@triton.jit
def _search(
    logits_SV: tl.tensor,
    temperature_S: tl.tensor,
    top_k_S: tl.tensor,
    top_p_S: tl.tensor,
    seed_S: tl.tensor,
    choice_S: tl.tensor,
    position_S: tl.tensor,
    sums_S3P: tl.tensor,
    out_S: tl.tensor,
    stride: tl.tensor,
    num_parts: tl.tensor,
    VOCABULARY: tl.constexpr,
    TILES: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Rows that are too flat. A kernel of its own: its registers would leave the others half of the card."""
    row = tl.program_id(0).to(tl.int64)
    if tl.load(out_S + row) == TOO_FLAT:
        temperature, top_k, top_p = _limits(temperature_S, top_k_S, top_p_S, row, VOCABULARY)
        noise = noise_key(tl.load(seed_S + row), tl.load(choice_S + row), tl.load(position_S + row))
        peak, limit = _peak_and_limit(sums_S3P + row * (3 * num_parts), num_parts, temperature, top_p, TILES)
        token = draw_from_row(
            logits_SV + row * stride, VOCABULARY, temperature, peak, top_k, top_p, limit, noise, BLOCK
        )
        tl.store(out_S + row, token)


@triton.jit
def _peak_and_limit(
    sums: tl.tensor, num_parts: tl.tensor, temperature: tl.tensor, top_p: tl.tensor, TILES: tl.constexpr
) -> tl.tensor:
    """A row's largest logit, and the weight that top_p alone keeps, fp64."""
    parts = tl.arange(0, triton.next_power_of_2(TILES))
    part_peaks = tl.load(sums + num_parts + parts, mask=parts < num_parts, other=float("-inf"))
    totals = tl.load(sums + 2 * num_parts + parts, mask=parts < num_parts, other=0.0)
    peak = tl.max(part_peaks)
    rate = 1.4426950408889634 / tl.where(temperature > 0, temperature, 1.0)
    total = tl.sum(totals * tl.exp2((part_peaks - peak) * rate))
    return peak, tl.where(top_p < 1, top_p, 2.0) * total.to(tl.float64)


@triton.jit
def _limits(
    temperature_S: tl.tensor, top_k_S: tl.tensor, top_p_S: tl.tensor, row: tl.tensor, VOCABULARY: tl.constexpr
) -> tl.tensor:
    top_k = tl.load(top_k_S + row)
    top_k = tl.where((top_k > 0) & (top_k < VOCABULARY), top_k, 0)
    return tl.load(temperature_S + row), top_k, tl.load(top_p_S + row)


@triton.jit
def _margin(score: tl.tensor) -> tl.tensor:
    """How far a rough score may be from the exact one: 2^-12, and 2^-20 of itself."""
    return 0.000244140625 + tl.abs(score) * 9.5367431640625e-07


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
    noise: tl.tensor,
    VOCABULARY: tl.constexpr,
    TILES: tl.constexpr,
    CELLS: tl.constexpr,
) -> tl.tensor:
    """Scores of the scan are rough: each tile that comes near the best of them is scored again in fp64."""
    tiles = tl.arange(0, triton.next_power_of_2(TILES))
    rough = tl.load(scores + tiles, mask=tiles < TILES, other=float("-inf"))
    leader = tl.max(rough)
    near = leader - _margin(leader)
    best, best_id = tl.full((), float("-inf"), tl.float64), tl.full((), VOCABULARY, tl.int32)
    while leader >= near:
        tile = tl.min(tl.where(rough == leader, tiles, TILES))
        ids = tile * (CELLS * 128) + tl.arange(0, CELLS * 128)
        x = tl.math.div_rn(tl.load(logits + ids, mask=ids < VOCABULARY, other=0.0), temperature)
        exact = tl.where(ids < VOCABULARY, x.to(tl.float64) + gumbel(uniform_bits(noise, ids)), float("-inf"))
        best, best_id = better(best, best_id, exact, ids)
        rough = tl.where(tiles == tile, float("-inf"), rough)
        leader = tl.max(rough)
    return best_id.to(tl.int64)
