"""`make run` in a terminal: Ctrl-C leaves no process behind, and a second start says who holds the data."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from ops import pids
from ops.data import ROOT, DataDir
from ops.environment import free_ports, without_settings
from ops.processes import PROCESSES
from tests.crash.waiting import wait_until

pytestmark = pytest.mark.crash
MARK = "CRASH_TEST_MARK"
# Past the set-up, which is done: what `python3 -m ops.run` goes on as inside the environment.
RUN = [sys.executable, "-c", "from ops.problem import exit_with; from ops.run import serve; exit_with(serve)"]


@contextmanager
def running(environ: dict[str, str], out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """In a process group of its own, as a shell starts it: Ctrl-C reaches the whole group."""
    with out.open("wb") as file:
        process = subprocess.Popen(RUN, cwd=ROOT, env=environ, stdout=file, stderr=file, process_group=0)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


def family(pid: int) -> dict[int, str]:
    """This process and all that descend from it, each with the moment it began."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended while we looked
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found, look = {}, [pid]
    while look:
        each = look.pop()
        if start := pids.began(each):
            found[each] = start
        look += parents.get(each, [])
    return found


def marked(mark: str) -> list[str]:
    """Every process whose environment carries the mark, whoever its parent is by now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_text().replace("\0", " ")[:100])
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_ctrl_c_leaves_no_process_and_a_second_start_names_the_first(folder: Path) -> None:
    mark, out = uuid4().hex, folder / "run.out"
    data = DataDir(folder / "terminal")
    port = str(free_ports(1)[0])
    environ = {**without_settings(), "SONDE_DATA": str(data.path), "SONDE_PORT": port, MARK: mark}
    with running(environ, out) as run:
        wait_until("the page is there", lambda: "Sonde is at" in out.read_text(), 90, out.read_text)
        wait_until("everything runs", lambda: all(pids.living(data / "pids" / p.name) for p in PROCESSES), 30)
        second = subprocess.run(RUN, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30)
        assert second.returncode == 1
        assert f"in use by process {run.pid}" in second.stdout + second.stderr
        alive = family(run.pid)
        assert len(alive) > len(PROCESSES) + 2 and len(marked(mark)) > len(PROCESSES)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(60) == 0, out.read_text()
    assert "Stopped." in out.read_text()
    assert [pid for pid, start in alive.items() if pids.began(pid) == start] == []
    assert marked(mark) == []
