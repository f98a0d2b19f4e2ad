"""Runs the chosen cases and prints what they found, as soon as it is known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from inference.bench import peer, report
from inference.bench import sweep as peer_sweep
from inference.bench.cases import CASES, Bench
from inference.bench.machine import describe
from inference.bench.measure import Row
from inference.bench.side import SideFailed
from inference.serve import ServeSettings


@dataclass(frozen=True, slots=True)
class BenchSettings:
    serve: ServeSettings
    cases: Sequence[str] = ()  # all
    rounds: int = 5
    sweep_peer: bool = False
    amx: bool = True  # False: neither side may use it, as on most people's machines


def run(settings: BenchSettings) -> int:
    """ValueError names a case that does not exist."""
    for name in settings.cases:
        if name not in CASES:
            raise ValueError(f"--cases {name}: must be one of {', '.join(CASES)}")
    machine = describe()
    gguf, absence = peer.find(settings.serve.model)
    if gguf is None:
        _say(f"ours alone: {absence}")
    bench = Bench(settings.serve, settings.rounds, gguf, settings.amx)
    if gguf is not None and not (settings.amx and peer.can_repack(gguf)):
        bench.best = {use: options | {"repack": False} for use, options in bench.best.items()}
        _say(f"{peer.NAME} computes with its weights as they are stored")
    if settings.sweep_peer and gguf is not None:
        print(peer_sweep.table(peer_sweep.sweep(bench, gguf, _say)), end="\n\n")
    rows, failed = _measure(bench, settings.cases or list(CASES))
    about = {
        "model": settings.serve.model.resolve().name,
        "rounds": settings.rounds,
        "machine": machine,
        "amx": settings.amx,
        "peer": absence or {use: dict(options) for use, options in bench.best.items()},
        "sides": bench.about,
        "failed": failed,
    }
    print(report.machine_lines(about), end="\n\n")
    print(report.table(rows), end="\n\n")
    print(report.last_line(about, rows))
    return 1 if failed else 0


def _measure(bench: Bench, names: Sequence[str]) -> tuple[list[Row], dict[str, str]]:
    """The lines, and why a case has none: one that fails does not take the others with it."""
    rows, failed = [], {}
    for name in names:
        try:
            for row in CASES[name](bench):
                _say(report.line(row))
                rows.append(row)
        except SideFailed as failure:
            _say(f"{name} failed: {failure}")
            failed[name] = str(failure)
    return rows, failed


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
