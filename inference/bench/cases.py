"""What is compared, case by case. Each starts the sides it needs and returns lines of the table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from inference.bench import peer
from inference.bench.busy import busy_processes
from inference.bench.measure import Goal, Row, Unit, at_least, at_most, compare, in_turns
from inference.bench.ours import settings_of
from inference.bench.server import Server
from inference.bench.side import RemoteSide, Side
from inference.bench.texts import Texts
from inference.bench.variants import with_config, with_distinct_experts
from inference.config import ModelConfig
from inference.serve import ServeSettings

BLOCK = 64
STREAMS = 8
SPARSE_TOPK = 512
START_GOAL_S = 3.0
Speed = Callable[[Side, int], float]  # of a side in a round


@dataclass(slots=True)
class Bench:
    """What every case needs. `about` collects what each kind of side tells of itself."""

    settings: ServeSettings
    rounds: int
    gguf: Path | None = None
    amx: bool = True
    best: dict[peer.Use, dict[str, Any]] = field(default_factory=lambda: dict(peer.BEST))
    about: dict[str, Any] = field(default_factory=dict)
    texts: Texts = field(init=False)
    context: int = field(init=False)

    def __post_init__(self) -> None:
        self.texts = Texts(self.settings.model)
        self.context = ModelConfig.from_file(self.settings.model).max_position_embeddings

    @property
    def environ(self) -> dict[str, str]:
        """Of our processes. oneDNN has PyTorch's bfloat16 products."""
        return dict(os.environ) | ({} if self.amx else {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"})

    def fit(self, num_tokens: int, and_written: int = 0) -> int:
        """As many tokens, or what the context leaves; a step may write more than is waited for."""
        return min(num_tokens, self.context - and_written - BLOCK)

    def deep(self) -> int:
        """Nearly the whole context, and one token more than whole blocks.

        The next round then finds all but that token in the cache and goes on right behind it, as the first did.
        """
        return (min(8000, self.context - 2 * BLOCK) // BLOCK) * BLOCK + 1

    @contextmanager
    def ours(self, name: str = "ours", **changes: Any) -> Iterator[RemoteSide]:
        with RemoteSide("ours", settings_of(replace(self.settings, **changes)), self.environ) as side:
            yield self._introduced(name, side)

    @contextmanager
    def peers(self, use: peer.Use, num_sequences: int = 1, threads: int | None = None) -> Iterator[list[RemoteSide]]:
        """The peer with its best settings; nobody where it is missing."""
        if self.gguf is None:
            yield []
            return
        threads = threads or self.settings.threads
        with peer.start(self.gguf, threads, num_sequences, **self.best[use]) as side:
            yield [self._introduced(f"{peer.NAME} {use}", side)]

    def _introduced(self, name: str, side: RemoteSide) -> RemoteSide:
        self.about.setdefault(name, side.about())
        return side


def prefill(bench: Bench) -> Iterator[Row]:
    """Seconds are told as tokens a second."""
    with bench.ours() as ours, bench.peers("prefill") as peers:
        for length in (bench.fit(512), bench.fit(2048)):
            what = f"prefill of {length} tokens"
            yield _race(bench, "prefill", what, _reading(bench, length), ours, peers, goal=at_least(4.0))


def decode(bench: Bench) -> Iterator[Row]:
    length = bench.fit(512, 128)
    with bench.ours() as ours, bench.peers("decode") as peers:
        what = f"decode, one stream, 128 tokens after {length}"
        yield _race(bench, "decode", what, _writing(bench, length, 128), ours, peers, goal=at_least(1.2))


def pytorch(bench: Bench) -> Iterator[Row]:
    """Decoding where there is no compiler: int8 weights in PyTorch's own products, and no int8 at all."""
    length = bench.fit(512, 64)
    with bench.peers("decode") as peers:
        for weights, goal in (("int8", at_least(0.7)), ("full", None)):
            with bench.ours(f"ours, {weights} weights", weights=weights) as ours:
                what = f"decode, one stream, 64 tokens after {length}, PyTorch with {weights} weights"
                yield _race(bench, "pytorch", what, _writing(bench, length, 64), ours, peers, goal=goal)


def deep(bench: Bench) -> Iterator[Row]:
    with bench.ours() as ours, bench.peers("deep") as peers:
        what = f"decode, one stream, 48 tokens after {bench.deep()}"
        yield _race(bench, "deep", what, _writing_deep(bench, 48), ours, peers, goal=at_least(2.0))


def streams(bench: Bench) -> Iterator[Row]:
    length = bench.fit(512, 64)
    with bench.ours() as ours, bench.peers("streams", STREAMS) as peers:
        what = f"decode, {STREAMS} streams at once, 64 tokens each after {length}"
        yield _race(bench, "streams", what, _writing(bench, length, 64, STREAMS), ours, peers, goal=at_least(3.0))


def second_question(bench: Bench) -> Iterator[Row]:
    """A new document each round, and two questions on it."""
    first, second = (bench.texts.question(text) for text in ("What is this about?", "Who is named in it, and why?"))
    length = bench.fit(2048, max(len(first), len(second)))
    with bench.ours() as ours:
        firsts, seconds = in_turns(
            [
                lambda number: ours.prefill((*bench.texts.document(number, length), *first)),
                lambda number: ours.prefill((*bench.texts.document(number, length), *second)),
            ],
            bench.rounds,
        )
    what = f"first token of a second question on {length} tokens"
    yield compare("second-question", what, "s", seconds, "the first question", firsts, at_most(0.1))


def under_load(bench: Bench) -> Iterator[Row]:
    """What is left of the speed while as many other processes as there are cores compute all the time."""
    num_busy = os.cpu_count() or 1
    speed = _writing(bench, bench.fit(512, 64), 64)

    def kept(side: Side, number: int) -> float:
        idle = speed(side, 2 * number)
        with busy_processes(num_busy):
            return speed(side, 2 * number + 1) / idle

    with bench.peers("decode", threads=1) as peers:
        for threads in sorted({1, bench.settings.threads}):
            with bench.ours(f"ours, {threads} threads", threads=threads) as ours:
                what = f"decode beside {num_busy} busy processes, {threads} of our threads, 1 of its"
                yield _race(bench, "under-load", what, kept, ours, peers, goal=at_least(1.0), unit="loaded / idle")


def start(bench: Bench) -> Iterator[Row]:
    """The first start fills the file cache."""
    seconds = [_start_s(bench) for _ in range(bench.rounds + 1)][1:]
    what = "from `serve` to a healthy answer, files in the cache"
    yield compare("start", what, "s", seconds, "the goal", [START_GOAL_S], at_most(1.0))


def http(bench: Bench) -> Iterator[Row]:
    """One client that reads its stream, against the engine without the server around it."""
    length = bench.fit(512, 128)

    def over_http(number: int) -> float:
        server.resume()
        speed = server.stream(bench.texts.document(number, length), 128).tokens_per_s
        server.pause()
        return speed

    with bench.ours() as ours, Server(bench.settings, bench.environ) as server:
        without = _writing(bench, length, 128)
        served, bare = in_turns([over_http, lambda number: without(ours, number)], bench.rounds)
    what = f"decode over HTTP, one stream, 128 tokens after {length}"
    yield compare("http", what, "tokens/s", served, "the engine alone", bare)


def experts(bench: Bench) -> Iterator[Row]:
    """Identical experts merged, as the engine finds them, against each computed by itself."""
    length = bench.fit(512, 64)
    with with_distinct_experts(bench.settings.model) as distinct:
        with bench.ours() as merged, bench.ours("ours, experts apart", model=distinct) as apart:
            for what, speed in (("prefill of", _reading(bench, length)), ("decode after", _writing(bench, length, 64))):
                what = f"{what} {length} tokens, identical experts merged"
                yield _race(bench, "experts", what, speed, merged, [apart], "experts apart")


def sparse(bench: Bench) -> Iterator[Row]:
    """Decoding far into the context with what the indexer chooses, against all of it. Says nothing of quality."""
    model, length = bench.settings.model, bench.deep()
    topk = min(SPARSE_TOPK, length // 2)
    with with_config(model, index_topk=topk) as chosen, with_config(model, index_topk=bench.context) as whole:
        with bench.ours(f"ours, top {topk}", model=chosen) as some, bench.ours("ours, dense", model=whole) as all_:
            what = f"decode after {length} tokens, {topk} of them chosen"
            yield _race(bench, "sparse", what, _writing_deep(bench, 48), some, [all_], "dense", at_least(1.6))


def perplexity(bench: Bench) -> Iterator[Row]:
    """What the served weights and arithmetic cost, where a prompt is read and where an answer is written."""
    texts = bench.texts.held_out(bench.fit(1024))
    against = f"full weights, {bench.settings.dtype}"
    with bench.ours() as served, bench.ours("ours, full weights", weights="full") as full:
        for how, rows in (("read by prompts", BLOCK), ("written token by token", 1)):
            value, baseline = served.perplexity(texts, rows), full.perplexity(texts, rows)
            what = f"perplexity of {len(texts)} texts of {len(texts[0])} tokens, {how}"
            yield compare("perplexity", what, "perplexity", [value], against, [baseline], at_most(1.01))


Case = Callable[[Bench], Iterator[Row]]
CASES: dict[str, Case] = {
    "prefill": prefill,
    "decode": decode,
    "pytorch": pytorch,
    "deep": deep,
    "streams": streams,
    "second-question": second_question,
    "under-load": under_load,
    "start": start,
    "http": http,
    "experts": experts,
    "sparse": sparse,
    "perplexity": perplexity,
}


def _race(
    bench: Bench,
    case: str,
    what: str,
    speed: Speed,
    ours: Side,
    others: Sequence[Side],
    against: str = peer.NAME,
    goal: Goal | None = None,
    unit: Unit = "tokens/s",
) -> Row:
    """`others` has nobody where the peer is missing."""
    measures = [partial(speed, side) for side in (ours, *others)]
    value, *baseline = in_turns(measures, bench.rounds)
    return compare(case, what, unit, value, against, baseline[0] if baseline else (), goal)


def _reading(bench: Bench, length: int) -> Speed:
    return lambda side, number: length / side.prefill(bench.texts.document(number, length))


def _writing(bench: Bench, length: int, num_tokens: int, num_streams: int = 1) -> Speed:
    """New documents each round."""

    def speed(side: Side, number: int) -> float:
        documents = [bench.texts.document(num_streams * number + i, length) for i in range(num_streams)]
        return side.decode(documents, num_tokens).tokens_per_s

    return speed


def _writing_deep(bench: Bench, num_tokens: int) -> Speed:
    """Every round continues one document: reading it takes minutes, writing a second."""
    return lambda side, number: side.decode([bench.texts.document(0, bench.deep())], num_tokens).tokens_per_s


def _start_s(bench: Bench) -> float:
    with Server(bench.settings, bench.environ) as server:
        return server.start_s
