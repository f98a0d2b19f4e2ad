"""Only processes that are provably ours are ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import pids


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_recorded_process_is_found_and_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    pids.record(tmp_path / "web", sleeper.pid)
    assert pids.living(tmp_path / "web") == sleeper.pid
    assert pids.end([tmp_path / "web"], signal.SIGTERM, wait_s=5) == ["web"]
    assert sleeper.wait(5) == -signal.SIGTERM
    assert not (tmp_path / "web").exists()


def test_pid_that_now_belongs_to_another_process_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "web").write_text(f"{sleeper.pid} {pids.began(os.getpid())}")
    assert pids.living(tmp_path / "web") is None
    assert pids.end([tmp_path / "web"], signal.SIGKILL, wait_s=1) == []
    assert sleeper.poll() is None


def test_process_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        pids.record(tmp_path / "web", stubborn.pid)
        pids.end([tmp_path / "web"], signal.SIGTERM, wait_s=0.2)
        assert stubborn.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize("text", ["", "nonsense", "999999999 1@x"])
def test_damaged_pid_file_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "web").write_text(text)
    assert pids.living(tmp_path / "web") is None
