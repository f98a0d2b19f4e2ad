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
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.batch import Rows
from inference.cache import PagedCache
from inference.engine import LaunchedStep
from inference.gpu.attention import PlainPages
from inference.gpu.sampling import RowParams, can_sample, sample_rows
from inference.model import Model
from inference.sampler import noise_key, signed
from inference.scheduler import Chunk
from inference.sequence import Sequence as TokenSequence

logger = logging.getLogger(__name__)

By = Literal["auto", "plain", "kernels"]  # computes a step

NARROWEST = 8  # blocks; each next width has four times as many
# The numbers of a row before its block table; keys are two of them, temperatures their bits.
TOKEN, SOURCE, POSITION, SLOT, CONTEXT, IS_REAL, KEY, TEMPERATURE, HEAD = 0, 1, 2, 3, 4, 5, 6, 8, 10


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a graph is captured for."""

    num_rows: int
    num_blocks: int
    is_sparse: bool


@dataclass(eq=False, slots=True)
class Launched:
    """A step on its way, as inference.engine.LaunchedStep."""

    rows: dict[TokenSequence, int]
    logits_SV: Tensor
    _tokens: Tensor
    _event: torch.cuda.Event | None

    def read(self) -> list[int]:
        """The sampled tokens, when they are there; sampling.NOT_FINITE for a row that could not be sampled."""
        if self._event is not None:
            self._event.synchronize()
        found: list[int] = self._tokens[: len(self.rows)].tolist()
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
        host_SF = graph.next_host()
        self._fill(host_SF, chunks, after)
        graph.replay()
        self._newest = graph
        num_rows = len(chunks)
        keys_S = graph.rows_SF[:num_rows, KEY : KEY + 2].contiguous().view(torch.int64)[:, 0]
        temperatures_S = graph.rows_SF[:num_rows, TEMPERATURE].contiguous().view(torch.float32)
        is_greedy = not host_SF[:num_rows, TEMPERATURE].any()
        logits_SV = self._logits_SV[:num_rows]
        self._sampled_S[:num_rows] = sample_rows(logits_SV, RowParams(keys_S, temperatures_S, is_greedy))
        return self._launched(chunks, logits_SV)

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
        block_size = self._cache.block_size
        for line, chunk in zip(host_SF, chunks, strict=False):
            sequence, position, params = chunk.sequence, chunk.start, chunk.sequence.params
            table = sequence.block_table[: -(-chunk.end // block_size)]
            known = position < len(sequence.token_ids)
            line[TOKEN] = sequence.token_ids[position] if known else 0
            line[SOURCE] = -1 if known or after is None else after.rows[sequence]
            line[POSITION], line[CONTEXT], line[IS_REAL] = position, chunk.end, 1
            line[SLOT] = table[position // block_size] * block_size + position % block_size
            line[HEAD : HEAD + len(table)] = table
            line[TEMPERATURE] = np.float32(params.temperature).view(np.int32)
            if params.temperature:
                key = signed(noise_key(params.seed, sequence.choice, chunk.end - sequence.num_prompt_tokens))
                line[KEY : KEY + 2] = np.array([key], dtype=np.int64).view(np.int32)
        for line in host_SF[len(chunks) :]:
            if line[IS_REAL]:
                self._idle_row(line)

    def _idle_row(self, line: NDArray[np.int32]) -> None:
        line[:] = 0
        line[SOURCE], line[CONTEXT] = -1, 1
        line[SLOT] = self._spare_block * self._cache.block_size
        line[HEAD:] = -1
        line[HEAD] = self._spare_block

    def _compute(self, rows_SF: Tensor, is_sparse: bool) -> None:
        """What is captured: from the rows' numbers to their logits."""
        source_S = rows_SF[:, SOURCE].to(torch.int64)
        sampled_S = self._sampled_S[source_S.clamp_min(0)]
        token_ids_S = torch.where(source_S < 0, rows_SF[:, TOKEN].to(torch.int64), sampled_S)
        rows = Rows(
            token_ids_S=token_ids_S.clamp_min(0),  # of a row that could not be sampled; nobody will read what follows
            positions_S=rows_SF[:, POSITION].to(torch.int64),
            slots_S=rows_SF[:, SLOT].to(torch.int64),
            context_lens_S=rows_SF[:, CONTEXT].contiguous(),
            block_tables_SB=rows_SF[:, HEAD:].contiguous(),
            is_real_S=rows_SF[:, IS_REAL] > 0,
            is_sparse=is_sparse,
        )
        self._logits_SV[: len(rows_SF)] = self._forward(rows)

    def _launched(self, chunks: Sequence[Chunk], logits_SV: Tensor) -> Launched:
        tokens_S = self._read[self._turn]
        self._turn = 1 - self._turn
        tokens_S[: len(chunks)].copy_(self._sampled_S[: len(chunks)], non_blocking=True)
        event = None
        if self._pool is not None:
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        return Launched({chunk.sequence: row for row, chunk in enumerate(chunks)}, logits_SV, tokens_S, event)


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
        compute: Callable[[Tensor, bool], None],
        idle_row: Callable[[NDArray[np.int32]], None],
    ) -> None:
        size = (shape.num_rows, HEAD + shape.num_blocks)
        self.rows_SF = torch.zeros(size, dtype=torch.int32, device=device)
        self._hosts = [_host_buffer(size, torch.int32, device) for _ in range(2)]
        self._turn = 0
        for host_SF in self._hosts:
            for line in host_SF.numpy():
                idle_row(line)
        self.rows_SF.copy_(self._hosts[0])
        self._run: Callable[[], None] = lambda: compute(self.rows_SF, shape.is_sparse)
        if pool is not None:
            self._run = capture(self._run, pool)

    def next_host(self) -> NDArray[np.int32]:
        self._turn = 1 - self._turn
        lines: NDArray[np.int32] = self._hosts[self._turn].numpy()
        return lines

    def replay(self) -> None:
        self.rows_SF.copy_(self._hosts[self._turn], non_blocking=True)
        self._run()


def capture(run: Callable[[], None], pool: Any) -> Callable[[], None]:
    """Runs it twice, so that every kernel is compiled and every library has its memory, then captures it."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        run()
    return graph.replay


def sizes(smallest: int, largest: int, factor: int) -> list[int]:
    """Rising by `factor`; the last is the first that reaches `largest`."""
    found = [smallest]
    while found[-1] < largest:
        found.append(found[-1] * factor)
    return found


def _host_buffer(size: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.zeros(size, dtype=dtype, pin_memory=device.type == "cuda")
