"""The worker as a process: how it starts, how it stops, what it logs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.inference.asking import QUESTION
from tests.inference.conftest import ProcessStarter


def test_sigterm_ends_running_requests_with_a_word_and_exits_with_0(
    start_process: ProcessStarter, tiny_checkpoint: Path
) -> None:
    process = start_process(tiny_checkpoint, "--grace-s", "0.5")
    body = {"messages": QUESTION, "max_tokens": 450, "stream": True, "n": 8, "seed": 1}
    with httpx.stream("POST", f"{process.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        process.program.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    assert "[DONE]" in rest[-1] or json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert process.program.wait(timeout=10) == 0
    assert "Traceback" not in process.log


def test_a_request_that_runs_at_sigterm_is_finished_within_the_grace(
    start_process: ProcessStarter, tiny_checkpoint: Path
) -> None:
    process = start_process(tiny_checkpoint, "--grace-s", "60")
    body = {"messages": QUESTION, "max_tokens": 200, "stream": True, "seed": 1}
    with httpx.stream("POST", f"{process.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        process.program.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert process.program.wait(timeout=10) == 0, "and nobody waits for the rest of the grace"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{process.url}/health")


def test_a_request_is_one_line_of_the_log_without_its_text(
    start_process: ProcessStarter, tiny_checkpoint: Path
) -> None:
    process = start_process(tiny_checkpoint)
    body = {"messages": QUESTION, "max_tokens": 9, "n": 2, "seed": 1}
    answer = httpx.post(f"{process.url}/v1/chat/completions", json=body, timeout=60).json()
    (line,) = (line for line in process.log.splitlines() if answer["id"] in line)
    num_prompt = answer["usage"]["prompt_tokens"]
    told = rf"finished prompt={num_prompt} prefix=0 hit=0 new=18 choices=2 finish=length,length first=\S+s total=\S+s$"
    assert re.search(told, line)
    assert QUESTION[0]["content"] not in process.log


def test_a_directory_without_a_model_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inference", "serve", "--model", str(tmp_path), "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert str(tmp_path) in result.stderr.splitlines()[-1]
    missing = subprocess.run(command[:-3] + [str(tmp_path / "no")], capture_output=True, text=True, timeout=60)
    assert missing.returncode == 2 and "is no directory" in missing.stderr
