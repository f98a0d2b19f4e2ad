"""A chart of days as the template draws it: rectangles in a box of WIDTH by HEIGHT. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from chatapp.usage.reports import Line

WIDTH, HEIGHT = 720, 160
GAP = 0.25  # of a day's place
PARTS = ("hit", "miss", "output")  # from the ground up


@dataclass(frozen=True, slots=True)
class Part:
    """Of a day's tokens: the prompt found in the cache, the prompt read anew, the output."""

    name: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One day."""

    label: str
    x: float
    width: float
    parts: tuple[Part, ...]
    tokens: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Chart:
    bars: tuple[Bar, ...]
    width: int = WIDTH
    height: int = HEIGHT


def chart_of(days: Sequence[Line]) -> Chart:
    most = max((day.sums.tokens for day in days), default=0)
    place = WIDTH / max(len(days), 1)
    return Chart(tuple(_bar(day, n * place, place, most) for n, day in enumerate(days)))


def _bar(day: Line, x: float, place: float, most: int) -> Bar:
    sums, ground, parts = day.sums, float(HEIGHT), []
    for name, tokens in zip(PARTS, (sums.cache_hit_tokens, sums.cache_miss_tokens, sums.output_tokens), strict=True):
        height = HEIGHT * tokens / most if most else 0.0
        ground -= height
        parts.append(Part(name, ground, height))
    return Bar(day.label, x + place * GAP / 2, place * (1 - GAP), tuple(parts), sums.tokens, sums.cost)
