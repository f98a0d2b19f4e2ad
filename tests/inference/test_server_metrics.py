"""/metrics: what a Prometheus reads."""

from __future__ import annotations

import re

import httpx
import pytest

from inference.server.metrics import Gauges, Histogram, Metrics, render
from tests.inference.asking import post, read_metrics
from tests.inference.conftest import RunningServer


def test_metrics_count_requests_and_tokens(server: RunningServer) -> None:
    finished = 'sonde_requests_total{endpoint="chat",outcome="finished"}'
    before = read_metrics(server)
    post(server, max_tokens=7, seed=1)
    after = read_metrics(server)
    assert after[finished] == before.get(finished, 0) + 1
    assert after["sonde_generated_tokens_total"] == before["sonde_generated_tokens_total"] + 7
    assert after["sonde_free_blocks"] == after["sonde_total_blocks"] == 32
    for name in ("request_seconds", "first_token_seconds"):
        assert after[f"sonde_{name}_count"] == before[f"sonde_{name}_count"] + 1
    tokens = "sonde_between_tokens_seconds_count"
    assert before[tokens] < after[tokens] < before[tokens] + 7, "the first has none before it"
    assert after['sonde_first_token_seconds_bucket{le="+Inf"}'] == after["sonde_first_token_seconds_count"]


@pytest.mark.parametrize(
    "name",
    [
        "waiting_sequences",
        "running_sequences",
        "accepted_total",
        "refused_total",
        "prompt_tokens_total",
        "generated_tokens_total",
        "prompt_cache_hit_tokens_total",
        "first_token_seconds_count",
        "between_tokens_seconds_count",
        "spec_draft_tokens_total",
        "spec_accepted_tokens_total",
        "free_blocks",
        "cached_blocks",
        "preemptions_total",
    ],
)
def test_what_operators_watch_is_told(server: RunningServer, name: str) -> None:
    told = httpx.get(f"{server.url}/metrics").text
    assert f"sonde_{name}" in read_metrics(server)
    assert re.search(rf"^# TYPE sonde_{name.removesuffix('_count')} (counter|gauge|histogram)$", told, re.MULTILINE)


def test_buckets_of_a_histogram_count_everything_below_them() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds, times in ((0.05, 1), (0.1, 2), (0.5, 1), (7.0, 3)):
        histogram.observe(seconds, times)
    lines = render(Metrics(first_token=histogram), Gauges()).splitlines()
    shown = [line for line in lines if line.startswith("sonde_first_token_seconds")]
    assert [line.split()[1] for line in shown] == ["3", "4", "7", "21.750000", "7"]


def test_metrics_of_a_worker_that_is_loading_are_zeros() -> None:
    assert "sonde_total_blocks 0" in render(Metrics(), Gauges())
