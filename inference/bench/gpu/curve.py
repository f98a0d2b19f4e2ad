"""Draws what a token costs at its position, ours beside the published figures: `python -m inference.bench.gpu.curve`.

    python -m inference.bench.gpu.curve FIGURES.json docs/cost.svg

Dollars for a million tokens are seconds of one card a token and layer, times the layers, at 2 dollars an hour.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

LAYERS = 61
DOLLARS_AN_HOUR = 2.0
Phase = Literal["prefill", "decode"]
Attention = Literal["dense", "sparse"]
Points = Mapping[int, float]  # dollars for a million tokens, by position

# DeepSeek-V3.2-Exp, figure 3, on H800s at 2 dollars an hour; read from the picture, so +-0.005.
PUBLISHED: Mapping[Phase, Mapping[Attention, Points]] = {
    "prefill": {
        "dense": {0: 0.053, 8: 0.093, 16: 0.135, 32: 0.208, 64: 0.360, 96: 0.512, 128: 0.667},
        "sparse": {0: 0.06, 8: 0.105, 16: 0.109, 32: 0.119, 64: 0.141, 96: 0.165, 128: 0.187},
    },
    "decode": {
        "dense": {0: 0.07, 8: 0.21, 16: 0.335, 32: 0.596, 64: 1.117, 96: 1.628, 128: 2.16},
        "sparse": {0: 0.10, 8: 0.157, 16: 0.157, 32: 0.175, 64: 0.20, 96: 0.233, 128: 0.25},
    },
}

WIDTH, HEIGHT = 460, 320  # of one panel
LEFT, TOP, RIGHT, BOTTOM = 62, 44, 16, 44
COLOURS: Mapping[Attention, str] = {"dense": "#c2410c", "sparse": "#2563eb"}


def dollars(seconds: float) -> float:
    """For a million tokens, from seconds of one card a token and layer."""
    return seconds * LAYERS * 1e6 * DOLLARS_AN_HOUR / 3600


def crossover(dense: Points, sparse: Points) -> float | None:
    """The position from which sparse is cheaper, between measured ones by a line; None where it never is."""
    positions = sorted(set(dense) & set(sparse))
    gains = [(position, dense[position] - sparse[position]) for position in positions]
    for (left, loss), (right, gain) in zip(gains, gains[1:], strict=False):
        if loss <= 0 < gain:
            return left + (right - left) * -loss / (gain - loss)
    return float(positions[0]) if gains and gains[0][1] > 0 else None


@dataclass(frozen=True, slots=True)
class Panel:
    phase: Phase
    measured: Mapping[Attention, Points]  # by thousands of tokens
    left: int

    def draw(self) -> Iterator[str]:
        everything = [*self.measured.values(), *PUBLISHED[self.phase].values()]
        top = _nice(max(cost for points in everything for cost in points.values()))
        yield f'<text class="title" x="{self.left + LEFT}" y="{TOP - 18}">{self.phase}: $ per million tokens</text>'
        for step in range(5):
            cost = top * step / 4
            y = self._y(cost, top)
            yield f'<path class="grid" d="M{self._x(0)} {y}H{self._x(128)}"/>'
            yield f'<text class="tick" text-anchor="end" x="{self._x(0) - 8}" y="{y + 4}">{cost:.2f}</text>'
        for position in (0, 32, 64, 96, 128):
            label = f'text-anchor="middle" x="{self._x(position)}" y="{HEIGHT - BOTTOM + 20}"'
            yield f'<text class="tick" {label}>{position}K</text>'
        for attention, points in PUBLISHED[self.phase].items():
            yield self._line(points, top, f'stroke="{COLOURS[attention]}" stroke-dasharray="3 4" opacity="0.7"')
        for attention, points in self.measured.items():
            yield self._line(points, top, f'stroke="{COLOURS[attention]}" stroke-width="2.5"')
            for position, cost in points.items():
                yield f'<circle cx="{self._x(position)}" cy="{self._y(cost, top)}" r="3" fill="{COLOURS[attention]}"/>'

    def _line(self, points: Points, top: float, style: str) -> str:
        path = " ".join(f"{self._x(position)},{self._y(cost, top)}" for position, cost in sorted(points.items()))
        return f'<polyline fill="none" points="{path}" {style}/>'

    def _x(self, position: float) -> float:
        return round(self.left + LEFT + (WIDTH - LEFT - RIGHT) * position / 128, 1)

    def _y(self, cost: float, top: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * cost / top, 1)


def draw(measured: Mapping[Phase, Mapping[Attention, Points]], card: str) -> str:
    """SVG that reads on light and dark pages."""
    panels = (Panel("prefill", measured["prefill"], 0), Panel("decode", measured["decode"], WIDTH))
    legend = f'<text class="tick" x="{LEFT}" y="{HEIGHT + 14}">'
    legend += f'<tspan fill="{COLOURS["dense"]}">dense</tspan> and <tspan fill="{COLOURS["sparse"]}">sparse</tspan>: '
    legend += f"solid ours on one {escape(card)}, dashed as published for H800s; position of the token below</text>"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT + 28}" role="img">',
            "<title>What a token costs at its position, dense and sparse</title>",
            "<style>text{font:12px system-ui,sans-serif;fill:#6b7280}.title{font-weight:600;font-size:14px}"
            ".grid{stroke:#9ca3af;stroke-opacity:.35}</style>",
            *(line for panel in panels for line in panel.draw()),
            legend,
            "</svg>",
            "",
        ]
    )


def read(figures: Path) -> tuple[dict[Phase, dict[Attention, dict[int, float]]], str]:
    """Of what bench-gpu wrote: dollars by phase, attention and thousands of tokens; the card's name."""
    whole = json.loads(figures.read_text(encoding="utf-8"))
    layer = whole["layer"]
    phases: tuple[Phase, ...] = ("prefill", "decode")
    attentions: tuple[Attention, ...] = ("dense", "sparse")
    costs = {
        phase: {
            attention: {
                int(position) // 1024: dollars(seconds) for position, seconds in layer[phase][attention].items()
            }
            for attention in attentions
        }
        for phase in phases
    }
    return costs, whole["about"]["card"]


def _nice(largest: float) -> float:
    """The end of an axis that holds it, in four even steps."""
    return next(step * 4 for step in (0.05, 0.1, 0.2, 0.25, 0.5, 0.75, 1, 2, 5, 10) if step * 4 >= largest)


if __name__ == "__main__":
    costs_of, card_name = read(Path(sys.argv[1]))
    Path(sys.argv[2]).write_text(draw(costs_of, card_name), encoding="utf-8")
    for phase_name, cost_of in costs_of.items():
        start = crossover(cost_of["dense"], cost_of["sparse"])
        print(f"{phase_name}: sparse is cheaper from {start if start is None else round(start, 1)}K tokens on")
