"""Measures the engine on this machine: `python -m inference bench --model DIR`.

Prints a table for people and, as the last line, the same as JSON. Whatever is compared is measured in turns in one
run and told as a ratio, so that other work on the machine disturbs both sides alike; the numbers are medians.
"""

from __future__ import annotations

import json
import platform
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch

from inference.sequence import GenerationRequest, SamplingParams
from inference.serve import ServeSettings, load
from inference.server.worker import Loaded

DOCUMENT_TOKENS = 2048
_LINES = (Path(__file__).parent / "calibration.txt").read_text(encoding="utf-8").splitlines()


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table. `ratio` is `value` to `baseline`; `goal` is the ratio it should not exceed."""

    case: str
    value_s: float
    baseline_s: float
    ratio: float
    goal: float


def run(settings: ServeSettings, rounds: int) -> int:
    torch.set_num_threads(settings.threads)
    loaded = load(settings, lambda stage: print(f"{stage} ...", file=sys.stderr))
    results = [case(loaded, rounds) for case in CASES]
    print_table(results)
    about = {
        "model": loaded.model.name,
        "dtype": settings.dtype,
        "threads": settings.threads,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "rounds": rounds,
    }
    print(json.dumps(about | {"results": [asdict(result) for result in results]}))
    return 0


def second_question(loaded: Loaded, rounds: int) -> Result:
    """Time to the first text of two questions on one document, a new document each round; the first one warms up."""
    first, second = [], []
    for number in range(rounds + 1):
        document = _document(loaded, number)
        first.append(_first_text_s(loaded, document, "\n\nWhat is this about?"))
        second.append(_first_text_s(loaded, document, "\n\nWho is named in it, and why?"))
    value, baseline = median(second[1:]), median(first[1:])
    case = f"time to first text of a second question on {len(document)} tokens"
    return Result(case, value, baseline, value / baseline, goal=0.1)


CASES: tuple[Callable[[Loaded, int], Result], ...] = (second_question,)


def print_table(results: list[Result]) -> None:
    print("| case | seconds | against | ratio | goal |")
    print("|---|---|---|---|---|")
    for result in results:
        print(
            f"| {result.case} | {result.value_s:.3f} | {result.baseline_s:.3f}"
            f" | {result.ratio:.3f} | at most {result.goal:g} |"
        )


def _document(loaded: Loaded, number: int) -> tuple[int, ...]:
    """Begins with its number, so that no two have a common beginning; ends before the context does."""
    lines = [f"Document {number}.", *random.Random(number).choices(_LINES, k=400)]
    room = loaded.engine.max_model_len - 64
    return tuple(loaded.tokenizer.encode("\n".join(lines))[: min(DOCUMENT_TOKENS, room)])


def _first_text_s(loaded: Loaded, document: tuple[int, ...], question: str) -> float:
    prompt = (*document, *loaded.tokenizer.encode(question))
    params = SamplingParams(max_tokens=16, temperature=0.0)
    started = time.perf_counter()
    deltas = loaded.engine.add(GenerationRequest("bench", prompt, params))
    while not any(delta.text or delta.finish_reason for delta in deltas):
        deltas += loaded.engine.step()
    seconds = time.perf_counter() - started
    loaded.engine.abort("bench")
    return seconds
