"""The settings that suit the peer best on this machine, found by trying those that people turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from inference.bench import peer
from inference.bench.cases import STREAMS, Bench
from inference.bench.side import RemoteSide, SideFailed

ROUNDS = 2
OPTIONS: dict[peer.Use, dict[str, tuple[Any, ...]]] = {
    "prefill": {"flash_attention": (True, False), "ubatch": (128, 512, 2048), "repack": (True, False)},
    "decode": {"flash_attention": (True, False), "cache_type": ("f16", "q8_0"), "repack": (True, False)},
    "deep": {"flash_attention": (True, False), "cache_type": ("f16", "q8_0"), "repack": (True, False)},
    "streams": {"flash_attention": (True, False), "unified": (True, False), "repack": (True, False)},
}


@dataclass(frozen=True, slots=True)
class Tried:
    use: peer.Use
    options: dict[str, Any]
    tokens_per_s: float | None
    failure: str = ""


def sweep(bench: Bench, gguf: Path, say: Callable[[str], None]) -> list[Tried]:
    """Puts the best of each use into `bench.best`."""
    tried = []
    for use in OPTIONS:
        for options in _combinations(use, bench.amx):
            tried.append(_try(bench, gguf, use, options))
            say(f"{use} {options}: {tried[-1].failure or round(tried[-1].tokens_per_s or 0, 1)}")
        worked = [one for one in tried if one.use == use and one.tokens_per_s is not None]
        if worked:
            bench.best[use] = max(worked, key=lambda one: one.tokens_per_s or 0.0).options
    return tried


def table(tried: list[Tried]) -> str:
    lines = ["| use | settings | tokens/s |", "|---|---|---|"]
    for one in tried:
        options = ", ".join(f"{name} {value}" for name, value in one.options.items())
        speed = one.failure or f"{one.tokens_per_s:.4g}"
        lines.append(f"| {one.use} | {options} | {speed} |")
    return "\n".join(lines)


def _combinations(use: peer.Use, amx: bool) -> Iterator[dict[str, Any]]:
    names = OPTIONS[use]
    for values in product(*names.values()):
        options = dict(zip(names, values, strict=True))
        if options["repack"] and not amx:
            continue
        if options.get("cache_type") == "q8_0" and not options["flash_attention"]:
            continue  # it refuses a quantised cache of values without flash attention
        yield options


def _try(bench: Bench, gguf: Path, use: peer.Use, options: dict[str, Any]) -> Tried:
    try:
        with peer.start(gguf, bench.settings.threads, STREAMS if use == "streams" else 1, **options) as side:
            speeds = [_speed(bench, use, side, number) for number in range(ROUNDS + 1)]
    except SideFailed as failure:  # some settings crash it on some machines
        return Tried(use, options, None, str(failure).split(":")[0])
    return Tried(use, options, median(speeds[1:]))


def _speed(bench: Bench, use: peer.Use, side: RemoteSide, number: int) -> float:
    if use == "prefill":
        document = bench.texts.document(number, bench.fit(2048))
        return len(document) / side.prefill(document)
    if use == "deep":
        return side.decode([bench.texts.document(0, bench.deep())], 16).tokens_per_s
    num_streams = STREAMS if use == "streams" else 1
    documents = [bench.texts.document(num_streams * number + i, bench.fit(512, 64)) for i in range(num_streams)]
    return side.decode(documents, 64).tokens_per_s
