"""One case in a process of its own: a kernel that faults takes nobody else's numbers with it.

Checks and compiles beside the other processes, then waits for its turn to be timed alone.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import torch

from inference.bench.gpu.case import Problem, worst_error
from inference.bench.gpu.cases import all_cases
from inference.bench.gpu.timing import median_seconds
from inference.kernels.launch import Config


@dataclass(slots=True)
class Outcome:
    """What is known of one case; `seconds` and `rivals_s` are medians."""

    name: str
    errors: dict[str, float] = field(default_factory=dict)  # of the small problem, by configuration
    tolerance: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)  # by configuration, those that were right alone
    rivals_s: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    flops: float = 0.0
    num_bytes: float = 0.0
    default: str = ""  # the configuration that is served


def work(name: str, turn: Connection, sweep: bool, budget_s: float) -> None:
    """Sends an Outcome when all is compiled, again when it was timed."""
    case = all_cases()[name]
    configs = case.configs if sweep else case.configs[:1]
    outcome = Outcome(name, default=str(case.configs[0]))
    device = torch.device("cuda")
    right, problem = [], None
    try:
        small = case.small(device)
        outcome.tolerance = small.tolerance
        right = _check(outcome, small, configs)
        del small
        if right:
            problem = case.full(device)
            outcome.flops, outcome.num_bytes = problem.flops, problem.num_bytes
            right = [config for config in right if _launches(outcome, problem, config)]
    except Exception:
        outcome.failures["setting up"] = traceback.format_exc(limit=-6)
    turn.send(outcome)
    turn.recv()
    try:
        if problem is not None:
            for config in right:
                outcome.seconds[str(config)] = median_seconds(lambda c=config: problem.run(c), budget_s)  # type: ignore[misc]
            for rival, launch in problem.rivals.items():
                outcome.rivals_s[rival] = median_seconds(launch, budget_s)
    except Exception:
        outcome.failures["timing"] = traceback.format_exc(limit=-6)
    turn.send(outcome)


def _check(outcome: Outcome, small: Problem, configs: Sequence[Config]) -> list[Config]:
    right = []
    for config in configs:
        try:
            error = worst_error(small, config)
            torch.cuda.synchronize()
        except Exception:
            outcome.failures[str(config)] = traceback.format_exc(limit=-4)
            continue
        outcome.errors[str(config)] = error
        if error <= small.tolerance:
            right.append(config)
    return right


def _launches(outcome: Outcome, problem: Problem, config: Config) -> bool:
    try:
        problem.run(config)
        torch.cuda.synchronize()
    except Exception:
        outcome.failures[str(config)] = traceback.format_exc(limit=-4)
        return False
    return True
