"""Counters and gauges in Prometheus' text format. A handful of numbers needs no client library."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Metrics:
    """Set in the event loop only."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # (endpoint, outcome)
    prompt_tokens: int = 0
    generated_tokens: int = 0
    first_token_seconds: float = 0.0
    first_tokens: int = 0
    request_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Gauges:
    """The engine as it is now; zeros while the model is loading."""

    running: int = 0
    waiting: int = 0
    free_blocks: int = 0
    total_blocks: int = 0
    preemptions: int = 0
    steps: int = 0
    step_seconds: float = 0.0


def render(metrics: Metrics, gauges: Gauges) -> str:
    finished = sum(metrics.requests.values())
    lines = ["# HELP sonde_requests_total Requests that have ended.", "# TYPE sonde_requests_total counter"]
    for (endpoint, outcome), count in sorted(metrics.requests.items()):
        lines.append(f'sonde_requests_total{{endpoint="{endpoint}",outcome="{outcome}"}} {count}')
    lines += _number("prompt_tokens_total", "counter", "Tokens read.", metrics.prompt_tokens)
    lines += _number("generated_tokens_total", "counter", "Tokens written.", metrics.generated_tokens)
    lines += _summary("first_token_seconds", "Until the first text.", metrics.first_token_seconds, metrics.first_tokens)
    lines += _summary("request_seconds", "Until the end of a request.", metrics.request_seconds, finished)
    lines += _summary("step_seconds", "Time in engine steps.", gauges.step_seconds, gauges.steps)
    lines += _number("running_sequences", "gauge", "Sequences that hold blocks.", gauges.running)
    lines += _number("waiting_sequences", "gauge", "Sequences in the queue.", gauges.waiting)
    lines += _number("free_blocks", "gauge", "Cache blocks not in use.", gauges.free_blocks)
    lines += _number("total_blocks", "gauge", "Cache blocks.", gauges.total_blocks)
    lines += _number("preemptions_total", "counter", "Sequences sent back to the queue.", gauges.preemptions)
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
