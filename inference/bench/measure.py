"""Taking turns, medians, and what to compare them with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Measure = Callable[[int], float]  # of a round's number
Unit = Literal["tokens/s", "s", "perplexity", "loaded / idle"]


@dataclass(frozen=True, slots=True)
class Goal:
    bound: Literal["at least", "at most"]
    ratio: float

    def is_met(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.bound == "at least" else ratio <= self.ratio


def at_least(ratio: float) -> Goal:
    return Goal("at least", ratio)


def at_most(ratio: float) -> Goal:
    return Goal("at most", ratio)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a value, what it is held against, and their ratio. Both are medians of the rounds."""

    case: str
    what: str
    unit: Unit
    value: float
    against: str | None = None  # None: there is nothing to compare it with
    baseline: float | None = None
    goal: Goal | None = None
    rounds: tuple[float, ...] = ()
    baseline_rounds: tuple[float, ...] = ()

    @property
    def ratio(self) -> float | None:
        return None if self.baseline is None else self.value / self.baseline

    @property
    def is_met(self) -> bool | None:
        return None if self.goal is None or self.ratio is None else self.goal.is_met(self.ratio)


def in_turns(measures: Sequence[Measure], num_rounds: int) -> list[tuple[float, ...]]:
    """A B A B ...: what each measured, round by round. One more round goes before them and warms up."""
    rounds = [[measure(number) for measure in measures] for number in range(num_rounds + 1)]
    return list(zip(*rounds[1:], strict=True))


def compare(
    case: str,
    what: str,
    unit: Unit,
    rounds: Sequence[float],
    against: str | None = None,
    baseline_rounds: Sequence[float] = (),
    goal: Goal | None = None,
) -> Row:
    baseline = median(baseline_rounds) if baseline_rounds else None
    return Row(
        case,
        what,
        unit,
        median(rounds),
        against if baseline_rounds else None,
        baseline,
        goal,
        tuple(rounds),
        tuple(baseline_rounds),
    )
