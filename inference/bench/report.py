"""The result for people, a table in Markdown, and for programs, one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from inference.bench.measure import Row

HEAD = "| case | unit | ours | against | it | ratio | goal |\n|---|---|---|---|---|---|---|"


def table(rows: Sequence[Row]) -> str:
    return "\n".join([HEAD, *map(line, rows)])


def last_line(about: Mapping[str, Any], rows: Sequence[Row]) -> str:
    results = [asdict(row) | {"ratio": row.ratio, "is_met": row.is_met} for row in rows]
    return json.dumps({**about, "results": results})


def machine_lines(about: Mapping[str, Any]) -> str:
    """What was measured, on what."""
    machine = about["machine"]
    lines = [
        f"- {machine['cpu']} ({machine['family_model_stepping']}), {machine['cores']} cores,"
        f" {machine['memory_gib']} GiB; {' '.join(machine['flags'])}; {machine['system']};"
        f" load {machine['load_before']} before",
        f"- {about['model']}, medians of {about['rounds']} rounds",
    ]
    for name, side in about["sides"].items():
        lines.append(f"- {name}: {', '.join(f'{key} {value}' for key, value in side.items())}")
    return "\n".join(lines)


def line(row: Row) -> str:
    goal = ""
    if row.goal is not None:
        verdict = {True: ", met", False: ", missed", None: ""}[row.is_met]
        goal = f"{row.goal.bound} {row.goal.ratio:g}{verdict}"
    cells = [
        row.what,
        row.unit,
        _number(row.value),
        row.against or "",
        _number(row.baseline),
        "" if row.ratio is None else f"{row.ratio:.3g}",
        goal,
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
