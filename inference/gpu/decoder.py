"""Decode steps on a card: one new token for each of up to 256 sequences, launched without waiting for the last one.

A step is a graph of kernels captured once for a number of rows and a width of block tables, both rounded up. The host
puts the rows into one pinned matrix and asks for one copy, one replay, one sampling and one copy back; the tokens that
the step before has sampled are taken from where they lie on the card.
Legend: S rows of the graph, B blocks of a row there is room for, F numbers of a row, V vocabulary.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.batch import Rows
from inference.cache import PagedCache
from inference.engine import ForwardModel, LaunchedStep
from inference.gpu.attention import PlainPages
from inference.gpu.penalties import Penalties, Weights
from inference.gpu.sampling import Draws, can_sample, choose_sample
from inference.model import Model
from inference.scheduler import Chunk
from inference.sequence import Sequence as TokenSequence

logger = logging.getLogger(__name__)

By = Literal["auto", "plain", "kernels"]  # computes a step

NARROWEST = 8  # blocks; each next width has four times as many
# The numbers of a row before its block table.
HEAD = np.dtype(
    [
        ("token", "i4"),
        ("source", "i4"),  # the row of the step before that samples the token; -1 where it is known
        ("position", "i4"),
        ("slot", "i4"),
        ("context_len", "i4"),
        ("is_real", "i4"),
        ("top_k", "i4"),
        ("choice", "i4"),
        ("num_output", "i4"),
        ("line", "i4"),  # of penalties, and what the token adds there
        ("added", "i4"),
        ("temperature", "f4"),
        ("repetition", "f4"),
        ("frequency", "f4"),
        ("presence", "f4"),
        ("unused", "i4"),
        ("top_p", "f8"),
        ("seed", "u8"),
    ]
)
HEAD_WIDTH = HEAD.itemsize // 4


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a graph is captured for."""

    num_rows: int
    num_blocks: int
    is_sparse: bool


@dataclass(frozen=True, slots=True)
class _Computed:
    """What a step leaves behind beside its logits; of a graph always in the same place."""

    token_ids_S: Tensor
    draws: Draws
    weights: Weights


@dataclass(eq=False, slots=True)
class Launched:
    """A step on its way, as inference.engine.LaunchedStep."""

    sequences: list[TokenSequence]
    logits_SV: Tensor
    _tokens: Tensor
    _event: torch.cuda.Event | None

    def read(self) -> list[int]:
        """The sampled tokens, when they are there; sampling.NOT_FINITE for a row that could not be sampled."""
        if self._event is not None:
            self._event.synchronize()
        found: list[int] = self._tokens[: len(self.sequences)].tolist()
        return found


class RowDecoder:
    """Decodes what the engine asks for; of two launched steps the first must have been read before a third."""

    def __init__(
        self,
        model: Model,
        cache: PagedCache,
        spare_block: int,
        max_num_seqs: int,
        max_model_len: int,
        by: By = "auto",
    ) -> None:
        """`spare_block` is the cache's and nobody else's: rows that fill a step up write there."""
        self._model, self._cache = model, cache
        self._batches = sizes(1, max_num_seqs, 2)
        self._widths = sizes(NARROWEST, -(-max_model_len // cache.block_size), 4)
        self._forward = choose_forward(model, cache, max_model_len, self._batches[-1], by)
        self._spare_block = spare_block
        self._graphs: dict[_Shape, _Graph] = {}
        self._pool: Any = torch.cuda.graph_pool_handle() if model.device.type == "cuda" else None
        num_rows, vocab_size = self._batches[-1], model.config.vocab_size
        self._sampled_S = torch.zeros(num_rows, dtype=torch.int64, device=model.device)
        self._logits_SV = torch.zeros(num_rows, vocab_size, dtype=torch.float32, device=model.device)
        self._read = [_host_buffer((num_rows,), torch.int64, model.device) for _ in range(2)]
        self._turn = 0
        self._sample = choose_sample(model.device)
        self._penalties = Penalties(num_rows, vocab_size, model.device)
        self._newest: _Graph | None = None

    def can_decode(self, chunk: Chunk) -> bool:
        """Whether it is one new token, whose logits are wanted and no others."""
        return chunk.predicts and chunk.num_tokens == 1 and not chunk.sequence.params.prompt_logprobs

    def can_sample(self, sequence: TokenSequence) -> bool:
        return can_sample(sequence)

    @torch.inference_mode()
    def launch(self, chunks: Sequence[Chunk], after: LaunchedStep | None = None) -> Launched:
        """Starts a step. Tokens that `after`, the step launched last, has yet to sample are taken from there."""
        graph = self._graph(self._shape(chunks))
        before_SF, host_SF = graph.next_host()
        if after is not None and graph is self._newest and after.sequences == [chunk.sequence for chunk in chunks]:
            self._move_on(host_SF, before_SF, chunks)
        else:
            self._fill(host_SF, chunks, after)
        computed = graph.replay()
        self._newest = graph
        logits_SV = self._logits_SV[: len(computed.token_ids_S)]
        if _have_penalties(chunks):
            logits_SV = self._penalties.apply(logits_SV, computed.token_ids_S, computed.weights)
        self._sampled_S[: len(logits_SV)] = self._sample(logits_SV, computed.draws)
        return self._launched(chunks, self._logits_SV[: len(chunks)])

    @torch.inference_mode()
    def prepare(self) -> None:
        """Captures all there is before anybody waits for it: the largest first, whose memory the others share."""
        topk, block_size = self._model.config.index_topk, self._cache.block_size
        for narrower, num_blocks in reversed(list(zip([0, *self._widths], self._widths, strict=False))):
            for num_rows in reversed(self._batches):
                if num_blocks * block_size > topk:
                    self._graph(_Shape(num_rows, num_blocks, is_sparse=True))
                if narrower * block_size < topk:
                    self._graph(_Shape(num_rows, num_blocks, is_sparse=False))

    def replay(self) -> None:
        """The step that was launched last once more: its rows are written where they are already."""
        assert self._newest is not None, "nothing has been launched"
        with torch.inference_mode():
            self._newest.replay()

    def _shape(self, chunks: Sequence[Chunk]) -> _Shape:
        longest = max(chunk.end for chunk in chunks)
        num_rows = next(size for size in self._batches if size >= len(chunks))
        num_blocks = next(size for size in self._widths if size * self._cache.block_size >= longest)
        return _Shape(num_rows, num_blocks, longest > self._model.config.index_topk)

    def _graph(self, shape: _Shape) -> _Graph:
        graph = self._graphs.get(shape)
        if graph is None:
            started = time.perf_counter()
            graph = self._graphs[shape] = _Graph(shape, self._model.device, self._pool, self._compute, self._idle_row)
            logger.info("captured %s in %.2fs", shape, time.perf_counter() - started)
        return graph

    def _fill(self, host_SF: NDArray[np.int32], chunks: Sequence[Chunk], after: LaunchedStep | None) -> None:
        """One line a row; the lines below hold rows that fill up."""
        heads_S, tables_SB, block_size = heads_of(host_SF), host_SF[:, HEAD_WIDTH:], self._cache.block_size
        sources = {} if after is None else {sequence: row for row, sequence in enumerate(after.sequences)}
        for row, (chunk, place) in enumerate(zip(chunks, self._penalties.places(chunks), strict=True)):
            sequence, position, params = chunk.sequence, chunk.start, chunk.sequence.params
            table = sequence.block_table[: -(-chunk.end // block_size)]
            is_known = position < len(sequence.token_ids)
            heads_S[row] = (
                sequence.token_ids[position] if is_known else 0,
                -1 if is_known else sources[sequence],
                position,
                table[position // block_size] * block_size + position % block_size,
                chunk.end,
                1,
                params.top_k,
                sequence.choice,
                chunk.end - sequence.num_prompt_tokens,
                place.line,
                place.added,
                params.temperature,
                params.repetition_penalty,
                params.frequency_penalty,
                params.presence_penalty,
                0,
                params.top_p,
                params.seed & 0xFFFFFFFFFFFFFFFF,
            )
            tables_SB[row, : len(table)] = table
        for row in range(len(chunks), len(host_SF)):
            if heads_S[row]["is_real"]:
                self._idle_row(host_SF, row)

    def _move_on(self, host_SF: NDArray[np.int32], before_SF: NDArray[np.int32], chunks: Sequence[Chunk]) -> None:
        """The same for rows that are one token further than before: 256 of them at once take what 20 take alone."""
        host_SF[:] = before_SF
        num_rows, block_size = len(chunks), self._cache.block_size
        heads_S, tables_SB = heads_of(host_SF)[:num_rows], host_SF[:num_rows, HEAD_WIDTH:]
        rows_S = np.arange(num_rows)
        heads_S["token"], heads_S["source"] = 0, rows_S
        for name in ("position", "context_len", "num_output"):
            heads_S[name] += 1
        blocks_S, offsets_S = np.divmod(heads_S["position"], block_size)
        for row in np.flatnonzero(offsets_S == 0).tolist():
            tables_SB[row, blocks_S[row]] = chunks[row].sequence.block_table[blocks_S[row]]
        heads_S["slot"] = tables_SB[rows_S, blocks_S] * block_size + offsets_S
        if _have_penalties(chunks):
            heads_S["added"] = [place.added for place in self._penalties.places(chunks)]  # lines stay whose they are

    def _idle_row(self, host_SF: NDArray[np.int32], row: int) -> None:
        host_SF[row] = 0
        head = heads_of(host_SF)[row]
        head["source"], head["context_len"], head["slot"] = -1, 1, self._spare_block * self._cache.block_size
        head["line"] = self._batches[-1]  # nobody's
        host_SF[row, HEAD_WIDTH:] = -1
        host_SF[row, HEAD_WIDTH] = self._spare_block

    def _compute(self, rows_SF: Tensor, is_sparse: bool) -> _Computed:
        """What is captured: from the rows' numbers to their logits, and to what is needed to sample them."""
        source_S = column(rows_SF, "source").to(torch.int64)
        sampled_S = self._sampled_S[source_S.clamp_min(0)]
        token_ids_S = torch.where(source_S < 0, column(rows_SF, "token").to(torch.int64), sampled_S)
        token_ids_S = token_ids_S.clamp_min(0)  # of a row that could not be sampled; nobody reads what follows it
        rows = Rows(
            token_ids_S=token_ids_S,
            positions_S=column(rows_SF, "position").to(torch.int64),
            slots_S=column(rows_SF, "slot").to(torch.int64),
            context_lens_S=column(rows_SF, "context_len"),
            block_tables_SB=rows_SF[:, HEAD_WIDTH:].contiguous(),
            is_real_S=column(rows_SF, "is_real") > 0,
            is_sparse=is_sparse,
        )
        self._logits_SV[: len(rows_SF)] = self._forward(rows)
        draws = Draws(
            temperature_S=column(rows_SF, "temperature", torch.float32),
            top_k_S=column(rows_SF, "top_k"),
            top_p_S=column(rows_SF, "top_p", torch.float64),
            seed_S=column(rows_SF, "seed", torch.int64),
            choice_S=column(rows_SF, "choice").to(torch.int64),
            position_S=column(rows_SF, "num_output").to(torch.int64),
        )
        weights = Weights(
            line_S=column(rows_SF, "line").to(torch.int64),
            added_S=column(rows_SF, "added"),
            repetition_S=column(rows_SF, "repetition", torch.float32),
            frequency_S=column(rows_SF, "frequency", torch.float32),
            presence_S=column(rows_SF, "presence", torch.float32),
        )
        return _Computed(token_ids_S, draws, weights)

    def _launched(self, chunks: Sequence[Chunk], logits_SV: Tensor) -> Launched:
        tokens_S = self._read[self._turn]
        self._turn = 1 - self._turn
        tokens_S[: len(chunks)].copy_(self._sampled_S[: len(chunks)], non_blocking=True)
        event = None
        if self._pool is not None:
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        return Launched([chunk.sequence for chunk in chunks], logits_SV, tokens_S, event)


def _have_penalties(chunks: Sequence[Chunk]) -> bool:
    return any(chunk.sequence.params.has_penalties for chunk in chunks)


def choose_model(model: Model, cache: PagedCache, max_model_len: int, max_tokens: int) -> ForwardModel:
    """What reads prompts: kernels where they can, else the model itself. A step has at most `max_tokens`."""
    if model.device.type != "cuda":
        return model
    try:
        from inference.gpu.prompts import KernelModel  # triton: only where a card, or its interpreter, computes

        return KernelModel(model, cache, max_model_len, max_tokens)
    except (ValueError, ImportError) as error:
        logger.info("no kernels for prompts: %s", error)
        return model


def choose_forward(
    model: Model, cache: PagedCache, max_model_len: int, max_rows: int, by: By
) -> Callable[[Rows], Tensor]:
    """How a step is computed: by kernels where they can and a card is there, else in plain PyTorch.

    ValueError where kernels were asked for and cannot.
    """

    def plain(rows: Rows) -> Tensor:
        return model.decode(rows, cache, PlainPages())

    if by == "plain" or (by == "auto" and model.device.type != "cuda"):
        return plain
    try:
        from inference.gpu.forward import KernelForward  # triton: only where a card, or its interpreter, computes

        return KernelForward(model, cache, max_model_len, max_rows)
    except (ValueError, ImportError) as error:  # PyTorch can be without triton
        if by == "kernels":
            raise
        logger.info("no kernels for decode steps: %s", error)
        return plain


class _Graph:
    """A captured step, with the numbers of its rows on the card and twice on the host: a copy may still be waiting."""

    def __init__(
        self,
        shape: _Shape,
        device: torch.device,
        pool: Any,
        compute: Callable[[Tensor, bool], _Computed],
        idle_row: Callable[[NDArray[np.int32], int], None],
    ) -> None:
        size = (shape.num_rows, HEAD_WIDTH + shape.num_blocks)
        self.rows_SF = torch.zeros(size, dtype=torch.int32, device=device)
        self._hosts = [_host_buffer(size, torch.int32, device) for _ in range(2)]
        self._turn = 0
        for host_SF in self._hosts:
            for row in range(shape.num_rows):
                idle_row(host_SF.numpy(), row)
        self.rows_SF.copy_(self._hosts[0])
        self._run: Callable[[], _Computed] = lambda: compute(self.rows_SF, shape.is_sparse)
        if pool is not None:
            self._run = capture(self._run, pool)

    def next_host(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The rows of the step before, and where the next ones are to be put."""
        before, self._turn = self._turn, 1 - self._turn
        return self._hosts[before].numpy(), self._hosts[self._turn].numpy()

    def replay(self) -> _Computed:
        self.rows_SF.copy_(self._hosts[self._turn], non_blocking=True)
        return self._run()


def heads_of(host_SF: NDArray[np.int32]) -> NDArray[Any]:
    """The same memory, by name."""
    heads: NDArray[Any] = host_SF[:, :HEAD_WIDTH].view(HEAD)[:, 0]
    return heads


def column(rows_SF: Tensor, name: str, dtype: torch.dtype = torch.int32) -> Tensor:
    """One number of every row (S,), on the card."""
    offset = HEAD.fields[name][1] // 4  # type: ignore[index]
    numbers_S = rows_SF[:, offset : offset + dtype.itemsize // 4].contiguous()
    return numbers_S.view(dtype)[:, 0]


Result = TypeVar("Result")


def capture(run: Callable[[], Result], pool: Any) -> Callable[[], Result]:
    """Runs it twice, so that every kernel is compiled and every library has its memory, then captures it."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        result = run()

    def replay() -> Result:
        graph.replay()
        return result

    return replay


def sizes(smallest: int, largest: int, factor: int) -> list[int]:
    """Rising by `factor`; the last is the first that reaches `largest`."""
    found = [smallest]
    while found[-1] < largest:
        found.append(found[-1] * factor)
    return found


def _host_buffer(size: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.zeros(size, dtype=dtype, pin_memory=device.type == "cuda")
