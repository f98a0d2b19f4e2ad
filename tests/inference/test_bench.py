from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference.bench import run
from inference.serve import ServeSettings


def test_a_table_and_a_last_line_of_json(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ServeSettings(tiny_checkpoint, dtype="float32"), rounds=1) == 0
    *table, last = capsys.readouterr().out.splitlines()
    report = json.loads(last)
    assert len(table) == 2 + len(report["results"]) and report["model"] == "tiny" and report["rounds"] == 1
    for line, result in zip(table[2:], report["results"], strict=True):
        assert result["case"] in line and result["ratio"] > 0
        assert result["ratio"] == pytest.approx(result["value_s"] / result["baseline_s"])
