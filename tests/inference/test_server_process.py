"""The worker as a process: how it starts, how it stops, what it logs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.inference.asking import QUESTION


@pytest.fixture
def process(tiny_checkpoint: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "inference", "serve", "--model", str(tiny_checkpoint), "--port", str(port)]
    command += ["--dtype", "float32", "--threads", "1", "--grace-s", "0.5", "--num-blocks", "16"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        yield process, f"http://127.0.0.1:{port}"
        process.kill()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_sigterm_ends_running_requests_with_a_word_and_exits_with_0(
    process: tuple[subprocess.Popen[bytes], str],
) -> None:
    worker, url = process
    deadline = time.monotonic() + 60
    while not is_ready(url):
        assert time.monotonic() < deadline and worker.poll() is None
        time.sleep(0.05)
    body = {"messages": QUESTION, "max_tokens": 450, "stream": True, "n": 8, "seed": 1}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        worker.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    assert "[DONE]" in rest[-1] or json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert worker.wait(timeout=10) == 0
    assert worker.stderr is not None
    log = worker.stderr.read().decode()
    assert "Traceback" not in log and QUESTION[0]["content"] not in log, "and the log never holds text"


def test_a_directory_without_a_model_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inference", "serve", "--model", str(tmp_path), "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert str(tmp_path) in result.stderr.splitlines()[-1]
    missing = subprocess.run(command[:-3] + [str(tmp_path / "no")], capture_output=True, text=True, timeout=60)
    assert missing.returncode == 2 and "is no directory" in missing.stderr
