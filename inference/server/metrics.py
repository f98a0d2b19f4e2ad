"""Counters, gauges and histograms in Prometheus' text format. A handful of numbers needs no client library."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

# Seconds. From a cached prefix on a GPU to a long document on two CPU cores, and from there to a crowded queue.
FIRST_TOKEN_BOUNDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
BETWEEN_TOKENS_BOUNDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


@dataclass(slots=True)
class Histogram:
    bounds: tuple[float, ...]
    total: float = 0.0
    counts: list[int] = field(init=False)  # one a bound, and one for what is beyond the last

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    @property
    def count(self) -> int:
        return sum(self.counts)

    def observe(self, seconds: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += times
        self.total += seconds * times


@dataclass(slots=True)
class Metrics:
    """Set in the event loop only."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # (endpoint, outcome)
    accepted: int = 0  # each ends in one of the outcomes
    refused: int = 0
    prompt_tokens: int = 0
    prompt_cache_hit_tokens: int = 0
    generated_tokens: int = 0
    first_token: Histogram = field(default_factory=lambda: Histogram(FIRST_TOKEN_BOUNDS))
    between_tokens: Histogram = field(default_factory=lambda: Histogram(BETWEEN_TOKENS_BOUNDS))
    request_seconds: float = 0.0

    @property
    def mean_request_seconds(self) -> float:
        return self.request_seconds / max(1, sum(self.requests.values()))


@dataclass(frozen=True, slots=True)
class Gauges:
    """The engine as it is now; zeros while the model is loading."""

    running: int = 0
    waiting: int = 0
    free_blocks: int = 0
    cached_blocks: int = 0
    total_blocks: int = 0
    preemptions: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    draft_tokens: int = 0
    accepted_draft_tokens: int = 0


def render(metrics: Metrics, gauges: Gauges) -> str:
    finished = sum(metrics.requests.values())
    lines = ["# HELP sonde_requests_total Requests that have ended.", "# TYPE sonde_requests_total counter"]
    for (endpoint, outcome), count in sorted(metrics.requests.items()):
        lines.append(f'sonde_requests_total{{endpoint="{endpoint}",outcome="{outcome}"}} {count}')
    lines += _number("accepted_total", "counter", "Requests taken, ended or not.", metrics.accepted)
    lines += _number("refused_total", "counter", "Requests told to come back later.", metrics.refused)
    lines += _number("prompt_tokens_total", "counter", "Tokens of prompts.", metrics.prompt_tokens)
    hits = metrics.prompt_cache_hit_tokens
    lines += _number("prompt_cache_hit_tokens_total", "counter", "Tokens of prompts found in the cache.", hits)
    lines += _number("generated_tokens_total", "counter", "Tokens written.", metrics.generated_tokens)
    lines += _histogram("first_token_seconds", "Until the first text.", metrics.first_token)
    lines += _histogram("between_tokens_seconds", "From a token to the next.", metrics.between_tokens)
    lines += _summary("request_seconds", "Until the end of a request.", metrics.request_seconds, finished)
    lines += _summary("step_seconds", "Time in engine steps.", gauges.step_seconds, gauges.steps)
    lines += _number("running_sequences", "gauge", "Sequences that hold blocks.", gauges.running)
    lines += _number("waiting_sequences", "gauge", "Sequences in the queue.", gauges.waiting)
    lines += _number("free_blocks", "gauge", "Cache blocks not in use, cached ones included.", gauges.free_blocks)
    lines += _number("cached_blocks", "gauge", "Cache blocks that a prompt may find.", gauges.cached_blocks)
    lines += _number("total_blocks", "gauge", "Cache blocks.", gauges.total_blocks)
    lines += _number("preemptions_total", "counter", "Sequences sent back to the queue.", gauges.preemptions)
    drafts, accepted = gauges.draft_tokens, gauges.accepted_draft_tokens
    lines += _number("spec_draft_tokens_total", "counter", "Guesses of the draft layer that were computed.", drafts)
    lines += _number("spec_accepted_tokens_total", "counter", "Those of them that saved a step.", accepted)
    return "\n".join(lines) + "\n"


def _number(name: str, kind: str, help_text: str, value: int) -> list[str]:
    return [f"# HELP sonde_{name} {help_text}", f"# TYPE sonde_{name} {kind}", f"sonde_{name} {value}"]


def _summary(name: str, help_text: str, total: float, count: int) -> list[str]:
    return [
        f"# HELP sonde_{name} {help_text}",
        f"# TYPE sonde_{name} summary",
        f"sonde_{name}_sum {total:.6f}",
        f"sonde_{name}_count {count}",
    ]


def _histogram(name: str, help_text: str, histogram: Histogram) -> list[str]:
    """Buckets are cumulative: each counts everything up to its bound."""
    lines = [f"# HELP sonde_{name} {help_text}", f"# TYPE sonde_{name} histogram"]
    below = 0
    for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
        below += count
        lines.append(f'sonde_{name}_bucket{{le="{bound}"}} {below}')
    return [*lines, f"sonde_{name}_sum {histogram.total:.6f}", f"sonde_{name}_count {histogram.count}"]
