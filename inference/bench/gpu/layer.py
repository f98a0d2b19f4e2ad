"""One whole layer of the released model at full size, random weights: what a token costs at its position.

Every kernel of a layer runs, from the norm before attention to the sum over experts. Dense attention is the fastest
that the card has: in prefill cuDNN's over keys and values spelled out (that a dense engine spells them out anew for
each chunk of rows is left out, in its favour), in decode our absorbed kernel over all pages.

A decode step of many sequences is one card's share of expert parallelism over EXPERT_CARDS cards, as the published
prices are of: as many rows reach its experts as if they all were here, but it reads only its own. What the cards tell
one another is left out.
Legend: T tokens of a step, C tokens of a context, S sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from inference.bench.gpu.timing import captured, median_seconds
from inference.kernels.combine import combine
from inference.kernels.dense_attention import attend_pages
from inference.kernels.fp8_linear import fp8_linear
from inference.kernels.gate import Choice, choose_experts
from inference.kernels.grouped_linear import GATE_UP, down, gate_up
from inference.kernels.grouped_linear_few import GATE_UP as GATE_UP_FEW
from inference.kernels.grouped_linear_few import down_few, gate_up_few
from inference.kernels.index_cache import index_queries, write_index_keys
from inference.kernels.index_scores import index_scores
from inference.kernels.launch import BF16
from inference.kernels.norm import rms_norm_fp8
from inference.kernels.paged_index_scores import paged_index_scores
from inference.kernels.permute import permute
from inference.kernels.quantize import quantize
from inference.kernels.rope_cache import rotate_and_write
from inference.kernels.sparse_attention import attend_chosen
from inference.kernels.topk import topk
from inference.quantization import FP8

HIDDEN, HEADS, NOPE, ROTARY, VALUE, RANK, QUERY_RANK = 7168, 128, 128, 64, 128, 512, 1536
INDEX_HEADS, INDEX_WIDTH, TOP_K, PAGE = 64, 128, 2048, 64
EXPERTS, EXPERT_WIDTH, CHOSEN, SHARED = 256, 2048, 8, 1
EXPERT_CARDS = 32
SOFTMAX_SCALE, EPS = 0.1352338, 1e-6
LATENT_BYTES, INDEX_BYTES, FP8_CACHE = 656, 132, False
PREFILL_ROWS, DECODE_ROWS = 4096, (128, 512)
POSITIONS = (2048, 4096, 8192, 16384, 32768, 65536, 131072)
FEW_ROWS_AN_EXPERT = 32  # up to which weights stream past the rows
DEVICE, DENSE_KERNEL = "cuda", SDPBackend.CUDNN_ATTENTION
Phase = Literal["prefill", "decode"]
Attention = Literal["dense", "sparse"]
ATTENTIONS: tuple[Attention, ...] = ("dense", "sparse")


@dataclass(frozen=True, slots=True)
class Fp8Weight:
    values: Tensor  # e4m3 (..., O, I)
    scales: Tensor  # fp32, one for each 128x128

    def __call__(self, x: tuple[Tensor, Tensor]) -> Tensor:
        return fp8_linear(*x, self.values, self.scales)


def fp8_weight(*shape: int) -> Fp8Weight:
    """Normal numbers; stacked weights are made one by one, since fp32 takes four times the room."""
    *stack, rows, columns = shape
    values = torch.empty(*stack, rows, columns, dtype=FP8, device=DEVICE)
    for matrix in values.view(-1, rows, columns):
        matrix.copy_(torch.randn(rows, columns, device=DEVICE))
    scales = torch.full((*stack, -(-rows // 128), columns // 128), 2.0**-6, device=DEVICE)
    return Fp8Weight(values, scales)


class Experts:
    """Those of one card, and the shared one after them; every row goes to it."""

    def __init__(self, num_cards: int) -> None:
        self._num_own = EXPERTS // num_cards
        self._is_whole = num_cards == 1
        self._gate = torch.randn(EXPERTS, HIDDEN, device=DEVICE).to(BF16) * HIDDEN**-0.5
        self._bias = torch.zeros(EXPERTS, device=DEVICE)
        self._up = fp8_weight(self._num_own + SHARED, 2 * EXPERT_WIDTH, HIDDEN)
        self._down = fp8_weight(self._num_own + SHARED, HIDDEN, EXPERT_WIDTH)

    def __call__(self, x: tuple[Tensor, Tensor], normed_TD: Tensor) -> Tensor:
        choice = Choice(8, 4, CHOSEN, 2.5, True, SHARED)
        ids_TK, weights_TK = choose_experts(normed_TD, self._gate, self._bias, choice)
        if not self._is_whole:
            ids_TK = self._share(len(normed_TD))
        num_all = self._num_own + SHARED
        is_few = ids_TK.numel() <= FEW_ROWS_AN_EXPERT * num_all
        order = permute(ids_TK, num_all, GATE_UP_FEW[0].blocks["BLOCK_N"] if is_few else GATE_UP[0].blocks["BLOCK_M"])
        first, second = (gate_up_few, down_few) if is_few else (gate_up, down)
        h = first(*x, self._up.values, self._up.scales, order)
        rows_RD = second(*h, self._down.values, self._down.scales, order)
        return combine(rows_RD, order.row_TK, weights_TK)

    def _share(self, num_rows: int) -> Tensor:
        """Of all cards' rows as many choices come here as own rows have."""
        own_T = (torch.arange(num_rows * CHOSEN, device=DEVICE, dtype=torch.int32) % self._num_own).view(-1, CHOSEN)
        return torch.cat((own_T, torch.full_like(own_T[:, :1], self._num_own)), dim=1)


class Layer:
    """Weights, and pages for `num_tokens` tokens of context."""

    def __init__(self, num_tokens: int, num_cards: int) -> None:
        self.num_cards = num_cards
        # Queries' latent, latent with rotary key (filled up to whole blocks), indexer key: one product.
        self._input = fp8_weight(QUERY_RANK + 640 + INDEX_WIDTH, HIDDEN)
        self._query = fp8_weight(HEADS * (NOPE + ROTARY), QUERY_RANK)
        self._index_query = fp8_weight(INDEX_HEADS * INDEX_WIDTH, QUERY_RANK)
        self._index_weights = torch.randn(INDEX_HEADS, HIDDEN, device=DEVICE).to(BF16) * HIDDEN**-0.5
        self._key_up_HNR = torch.randn(HEADS, NOPE, RANK, device=DEVICE).to(BF16) * NOPE**-0.5
        self._value_up_HRV = torch.randn(HEADS, RANK, VALUE, device=DEVICE).to(BF16) * RANK**-0.5
        self._spell_out = fp8_weight(HEADS * (NOPE + VALUE), RANK)
        self._output = fp8_weight(HIDDEN, HEADS * VALUE)
        self._experts = Experts(num_cards)
        self._norm_D, self._query_norm, self._latent_norm = (
            torch.ones(width, device=DEVICE).to(BF16) for width in (HIDDEN, QUERY_RANK, RANK)
        )
        self._key_norm = torch.ones(INDEX_WIDTH, device=DEVICE), torch.zeros(INDEX_WIDTH, device=DEVICE)
        angles = torch.arange(POSITIONS[-1], device=DEVICE)[:, None] * 10000.0 ** (
            -torch.arange(32, device=DEVICE) / 32
        )
        self._turns = torch.stack((angles.cos(), angles.sin()), dim=1)
        self.pages, self.index_pages = _pages(num_tokens)

    def __call__(self, step: Step, attention: Attention) -> Tensor:
        stream, x_TD = step.stream, step.x
        x = rms_norm_fp8(x_TD, self._norm_D, EPS, residual_TD=stream, out=step.normed)
        projected = self._input(x)
        query = rms_norm_fp8(projected[:, :QUERY_RANK], self._query_norm, EPS)
        latent, rotary, index_key = (
            projected[:, first:last] for first, last in ((1536, 2048), (2048, 2112), (2176, 2304))
        )
        query_THX = self._query(query).view(-1, HEADS, NOPE + ROTARY)
        is_sparse = attention == "sparse" and step.context > TOP_K
        absorbs = is_sparse or step.phase == "decode"
        absorbed_THW = query_THX.new_empty(len(x_TD), HEADS, RANK + ROTARY) if absorbs else None
        rotate_and_write(
            query_THX[..., NOPE:],
            latent[:, None],
            rotary[:, None],
            step.positions,
            step.slots,
            self._turns,
            self.pages,
            norm_weight_R=self._latent_norm,
            out_THP=query_THX[..., NOPE:] if absorbed_THW is None else absorbed_THW[..., RANK:],
        )
        if attention == "sparse":  # below index_topk too: later tokens will want the key
            write_index_keys(
                index_key, *self._key_norm, step.positions, step.slots, self._turns, self.index_pages, block_size=PAGE
            )
        if absorbed_THW is None:
            out_THV = self._attend_spelled_out(step, query_THX, latent)
        else:
            torch.bmm(
                query_THX[..., :NOPE].transpose(0, 1),
                self._key_up_HNR,
                out=absorbed_THW[..., :RANK].transpose(0, 1),
            )
            chosen = self._choose(step, query) if is_sparse else None
            out_THV = self._attend_absorbed(step, absorbed_THW, chosen)
        attended = self._output(quantize(out_THV.flatten(1)))
        x = rms_norm_fp8(attended, self._norm_D, EPS, residual_TD=stream, out=step.normed)
        return self._experts(x, step.normed)

    def _choose(self, step: Step, query: tuple[Tensor, Tensor]) -> Tensor:
        weights_TI = F.linear(step.normed, self._index_weights).float()
        queries, weights = index_queries(
            self._index_query(query).view(-1, INDEX_HEADS, INDEX_WIDTH),
            weights_TI,
            step.positions,
            self._turns,
            (INDEX_HEADS * INDEX_WIDTH) ** -0.5,
        )
        if step.phase == "decode":
            scores = paged_index_scores(queries, weights, self.index_pages, step.tables, step.ends)
        else:
            pages = self.index_pages[step.tables[0]]
            border = PAGE * INDEX_WIDTH
            keys = pages[:, :border].contiguous().view(FP8).view(-1, INDEX_WIDTH)
            scales = pages[:, border:].contiguous().view(torch.float32).flatten()
            scores = index_scores(queries, weights, keys, scales, step.starts, step.ends)
        return topk(scores, step.starts, step.ends, TOP_K)

    def _attend_absorbed(self, step: Step, query_THW: Tensor, chosen: Tensor | None) -> Tensor:
        if chosen is not None:
            out_THR, _lse = attend_chosen(
                query_THW, self.pages, chosen, step.tables, step.sequence, rank=RANK, softmax_scale=SOFTMAX_SCALE
            )
        else:
            out_THR, _lse = attend_pages(
                query_THW, self.pages, step.ends, step.tables, step.sequence, rank=RANK, softmax_scale=SOFTMAX_SCALE
            )
        return torch.bmm(out_THR.transpose(0, 1), self._value_up_HRV).transpose(0, 1)

    def _attend_spelled_out(self, step: Step, query_THX: Tensor, latent: Tensor) -> Tensor:
        """The new rows' keys and values are spelled out; those before them lie ready."""
        self._spell_out(quantize(latent))
        key_HCX, value_HCV = step.spelled_out
        with sdpa_kernel(DENSE_KERNEL):
            out = F.scaled_dot_product_attention(
                query_THX.transpose(0, 1)[None], key_HCX[None], value_HCV[None], scale=SOFTMAX_SCALE
            )
        return out[0].transpose(0, 1)


@dataclass(eq=False)
class Step:
    """The newest tokens of contexts that are `context` long; all its rows see all of it."""

    phase: Phase
    context: int
    num_rows: int
    tables: Tensor  # int32 (S, pages)
    x: Tensor = field(init=False)
    stream: Tensor = field(init=False)
    normed: Tensor = field(init=False)

    def __post_init__(self) -> None:
        shape = self.num_rows, HIDDEN
        self.x = torch.randn(shape, device=DEVICE).to(BF16)
        self.stream = torch.randn(shape, device=DEVICE)
        self.normed = torch.empty(shape, device=DEVICE, dtype=BF16)
        rows = torch.arange(self.num_rows, device=DEVICE)
        first = self.context - (self.num_rows if self.phase == "prefill" else 1)
        self.positions = first + rows if self.phase == "prefill" else torch.full_like(rows, first)
        self.sequence = (rows * 0 if self.phase == "prefill" else rows).int()
        page = self.tables[self.sequence.long(), self.positions // PAGE].long()
        self.slots = page * PAGE + self.positions % PAGE
        self.starts = torch.zeros(self.num_rows, dtype=torch.int32, device=DEVICE)
        self.ends = torch.full_like(self.starts, self.context)

    @cached_property
    def spelled_out(self) -> tuple[Tensor, Tensor]:
        key = torch.randn(HEADS, self.context, NOPE + ROTARY, device=DEVICE, dtype=BF16)
        return key, torch.randn(HEADS, self.context, VALUE, device=DEVICE, dtype=BF16)


@dataclass(frozen=True, slots=True)
class Cost:
    phase: Phase
    attention: Attention
    position: int
    num_rows: int
    seconds: float  # of one card, a token and layer
    outside: float | None = None  # share of a decode step in which no kernel runs
    kernels: dict[str, float] = field(default_factory=dict)  # seconds a token by kernel, at the last position


def measure(budget_s: float = 0.3) -> Iterator[Cost]:
    """Prefill of PREFILL_ROWS rows, then decode of each number of sequences; all positions for the first of them."""
    yield from _prefill(budget_s)
    torch.cuda.empty_cache()
    for num_rows in DECODE_ROWS:
        yield from _decode(num_rows, POSITIONS if num_rows == DECODE_ROWS[0] else POSITIONS[-1:], budget_s)
        torch.cuda.empty_cache()


def _prefill(budget_s: float) -> Iterator[Cost]:
    layer = Layer(POSITIONS[-1], 1)
    order = torch.randperm(POSITIONS[-1] // PAGE, device=DEVICE).int()
    for position in POSITIONS:
        step = Step("prefill", position, min(PREFILL_ROWS, position), order[None, : position // PAGE])
        for attention in ATTENTIONS:
            yield _cost(step, attention, partial(layer, step, attention), budget_s)
        del step
        torch.cuda.empty_cache()


def _decode(num_rows: int, positions: Sequence[int], budget_s: float) -> Iterator[Cost]:
    layer = Layer(num_rows * POSITIONS[-1], EXPERT_CARDS)
    order = torch.randperm(num_rows * POSITIONS[-1] // PAGE, device=DEVICE).int().view(num_rows, -1)
    for position in positions:
        step = Step("decode", position, num_rows, order[:, : position // PAGE].contiguous())
        for attention in ATTENTIONS:
            graph = captured(partial(layer, step, attention))
            yield _cost(step, attention, graph.replay, budget_s)
            del graph


def _cost(step: Step, attention: Attention, launch: Callable[[], object], budget_s: float) -> Cost:
    launch()
    torch.cuda.synchronize()
    seconds = median_seconds(launch, budget_s) / step.num_rows
    if step.context != POSITIONS[-1]:
        return Cost(step.phase, attention, step.context, step.num_rows, seconds)
    kernels = _by_kernel(launch)
    busy = sum(kernels.values())
    outside = 1 - busy / (seconds * step.num_rows) if step.phase == "decode" else None
    a_token = {name: took / step.num_rows for name, took in kernels.items()}
    return Cost(step.phase, attention, step.context, step.num_rows, seconds, outside, a_token)


def _by_kernel(launch: Callable[[], object], times: int = 3) -> dict[str, float]:
    """Seconds of each kernel, longest first."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(times):
            launch()
        torch.cuda.synchronize()
    events = [(event.key, event.self_device_time_total / times / 1e6) for event in profiler.key_averages()]
    return dict(sorted(((name, took) for name, took in events if took > 0), key=lambda item: -item[1]))


def _pages(num_tokens: int) -> tuple[Tensor, Tensor]:
    """Filled as if by tokens: normal numbers, e4m3 with fitting scales or as they are."""
    if FP8_CACHE:
        pages = torch.empty(num_tokens, LATENT_BYTES, dtype=torch.uint8, device=DEVICE)
    else:
        pages = torch.empty(num_tokens, 1, RANK + ROTARY, dtype=BF16, device=DEVICE)
    index_pages = torch.empty(num_tokens // PAGE, PAGE * INDEX_BYTES, dtype=torch.uint8, device=DEVICE)
    border = PAGE * INDEX_WIDTH
    for start in range(0, num_tokens, 2**18):
        part, index_part = pages[start : start + 2**18], index_pages[start // PAGE :][: 2**18 // PAGE]
        if FP8_CACHE:
            part[:, :RANK] = torch.randn(len(part), RANK, device=DEVICE).to(FP8).view(torch.uint8)
            part[:, RANK : RANK + 16] = torch.full((len(part), 4), 0.25, device=DEVICE).view(torch.uint8)
            part[:, RANK + 16 :] = torch.randn(len(part), ROTARY, device=DEVICE).bfloat16().view(torch.uint8)
        else:
            part.copy_(torch.randn(part.shape, device=DEVICE))
        index_part[:, :border] = torch.randn(len(index_part), border, device=DEVICE).to(FP8).view(torch.uint8)
        index_part[:, border:] = torch.rand(len(index_part), PAGE, device=DEVICE).view(torch.uint8)
    return pages, index_pages
