"""Checks every case, times those that are right, and prints a table and JSON."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import triton

from inference.bench.gpu import ceilings as ceilings_of
from inference.bench.gpu.case import Case
from inference.bench.gpu.cases import all_cases
from inference.bench.gpu.ceilings import Ceilings
from inference.bench.gpu.worker import Outcome, work

END_TO_END_SECONDS = 180  # it ends itself before


@dataclass(frozen=True, slots=True)
class GpuBenchSettings:
    cases: Sequence[str] = ()  # patterns; all where there is none
    sweep: bool = False  # time every configuration, not only the one that is served
    json: Path | None = None
    budget_s: float = 0.1  # of timing each
    limit_s: float = 500.0  # of checking and compiling, together
    layer: bool = False  # a whole layer too; always where all cases are run
    model: Path | None = None  # a checkpoint to be run end to end as well


def run(settings: GpuBenchSettings) -> int:
    """1 where a kernel was wrong or failed; OSError without a card; ValueError for a name that does not exist."""
    if not torch.cuda.is_available():
        raise OSError("bench-gpu needs a CUDA card, and torch sees none")
    chosen = _choose(settings.cases)
    torch.zeros(1, device="cuda")
    started = time.monotonic()
    workers = {name: _start(name, settings) for name in chosen}
    for name, worker in workers.items():
        _say(f"{time.monotonic() - started:6.1f} s  {name}: {_ready(worker, settings.limit_s, started)}")
    ceilings = ceilings_of.measure()
    torch.cuda.empty_cache()
    about = describe(ceilings)
    print(json.dumps(about), flush=True)
    outcomes = []
    for name, worker in workers.items():
        outcome = _time(name, worker)
        outcomes.append(outcome)
        print("\n".join(lines(chosen[name], outcome, ceilings)), flush=True)
    whole = {"about": about, "cases": [asdict(outcome) for outcome in outcomes]}
    _write(settings.json, whole)
    if settings.model is not None:
        whole["end_to_end"] = _run_end_to_end(settings.model)
        _write(settings.json, whole)
    if settings.layer or not settings.cases:
        _write(settings.json, whole | _measure_layer())
    return 1 if any(_failed(outcome) for outcome in outcomes) else 0


def _write(file: Path | None, whole: dict[str, Any]) -> None:
    if file is not None:
        file.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def describe(ceilings: Ceilings) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    return {
        "card": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "ceilings": asdict(ceilings),
    }


def lines(case: Case, outcome: Outcome, ceilings: Ceilings) -> list[str]:
    """A row of the table, and below it what went wrong and what a sweep found."""
    if not outcome.seconds:
        return [f"| {case.name} | failed: {_why(outcome)} | | | |"]
    config = min(outcome.seconds, key=outcome.seconds.__getitem__)
    served = outcome.seconds.get(outcome.default, outcome.seconds[config])
    rate = (outcome.num_bytes if case.ceiling == "copy" else outcome.flops) / served
    unit = "TB/s" if case.ceiling == "copy" else f"TFLOPS {case.ceiling}"
    share = rate / ceilings.of(case.ceiling)
    goal = "" if case.goal is None else f"{case.goal:.0%}"
    rivals = ", ".join(f"{name} {seconds / served:.2f}x" for name, seconds in outcome.rivals_s.items())
    rows = [f"| {case.name} | {served * 1e3:.3f} ms | {rate / 1e12:.3g} {unit} | {share:.1%} of {goal} | {rivals} |"]
    if len(outcome.seconds) > 1:
        ranked = sorted(outcome.seconds.items(), key=lambda item: item[1])
        rows += [f"    {seconds * 1e3:8.3f} ms  {name}" for name, seconds in ranked]
    wrong = {name: error for name, error in outcome.errors.items() if error > outcome.tolerance}
    rows += [f"    WRONG by {error:.2e} (allowed {outcome.tolerance:.0e}): {name}" for name, error in wrong.items()]
    rows += [f"    FAILED {name}: {_last(text)}" for name, text in outcome.failures.items()]
    return rows


def _run_end_to_end(model: Path) -> Any:
    """In a process of its own, whose end no other figure waits for; what it found until then."""
    with TemporaryDirectory() as directory:
        out = Path(directory) / "end_to_end.json"
        command = [sys.executable, "-m", "inference.bench.gpu.end_to_end", "--model", str(model), "--json", str(out)]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(command, timeout=END_TO_END_SECONDS)
        return json.loads(out.read_text(encoding="utf-8")) if out.exists() else None


def _measure_layer() -> dict[str, Any]:
    """By phase, attention and position, seconds of one card a token and layer; "decode 512" is of so many sequences."""
    from inference.bench.gpu import layer  # every kernel: what is wrong with one must not stop the others' cases

    seconds: dict[str, dict[str, dict[int, float]]] = {}
    kernels: dict[str, dict[str, float]] = {}
    outside: dict[str, float] = {}
    for cost in layer.measure():
        is_usual = cost.phase == "prefill" or cost.num_rows == layer.DECODE_ROWS[0]
        phase = cost.phase if is_usual else f"{cost.phase} {cost.num_rows}"
        seconds.setdefault(phase, {}).setdefault(cost.attention, {})[cost.position] = cost.seconds
        name = f"{phase} {cost.attention}"
        print(f"| layer, {name}, at {cost.position} | {cost.seconds * 1e6:.3f} us a token |", flush=True)
        if cost.kernels:
            kernels[name] = cost.kernels
            print("\n".join(f"    {took * 1e6:8.3f} us  {kernel[:90]}" for kernel, took in cost.kernels.items()))
        if cost.outside is not None:
            outside[name] = cost.outside
            print(f"    outside kernels: {cost.outside:.1%}", flush=True)
    for phase, costs in seconds.items():
        last = max(costs["dense"])
        print(f"| layer, {phase}, at {last}, dense / sparse | {costs['dense'][last] / costs['sparse'][last]:.2f}x |")
    return {"layer": seconds, "kernels": kernels, "outside": outside}


def _choose(patterns: Sequence[str]) -> dict[str, Case]:
    cases = all_cases()
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in cases):
            raise ValueError(f"--cases {pattern}: none of {', '.join(cases)}")
    return {
        name: case
        for name, case in cases.items()
        if not patterns or any(fnmatch(name, pattern) for pattern in patterns)
    }


_Worker = tuple[BaseProcess, Connection]


def _start(name: str, settings: GpuBenchSettings) -> _Worker:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=work, args=(name, theirs, settings.sweep, settings.budget_s), daemon=True
    )
    process.start()
    theirs.close()
    return process, ours


def _ready(worker: _Worker, limit_s: float, started: float) -> str:
    process, turn = worker
    try:
        if not turn.poll(max(0.0, started + limit_s - time.monotonic())):
            process.kill()
            return f"not ready in {limit_s:.0f} s"
        outcome: Outcome = turn.recv()
    except (EOFError, OSError):
        return "its process died"
    wrong = sum(error > outcome.tolerance for error in outcome.errors.values())
    return f"{len(outcome.errors)} configurations, {wrong} wrong, {len(outcome.failures)} failed"


def _time(name: str, worker: _Worker) -> Outcome:
    process, turn = worker
    try:
        turn.send("go")
        outcome: Outcome = turn.recv()
    except (EOFError, OSError):
        outcome = Outcome(name, failures={"process": "died or was stopped"})
    process.join(10)
    return outcome


def _failed(outcome: Outcome) -> bool:
    return bool(outcome.failures) or any(error > outcome.tolerance for error in outcome.errors.values())


def _why(outcome: Outcome) -> str:
    if outcome.failures:
        return "; ".join(f"{name}: {_last(text)}" for name, text in outcome.failures.items())
    return f"wrong: {outcome.errors} (allowed {outcome.tolerance:.0e})"


def _last(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-3:])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
