"""Which processes are ours: a pid counts only together with the moment that process began. Standard library only.

A pid file that outlived a crash may name a process of somebody else by now; nothing is signalled on a pid alone.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def began(pid: int) -> str | None:
    """A text that is the same as long as this process lives and never again; None where there is none."""
    if not BOOT_ID.exists():
        shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True).stdout
        state, _, start = shown.strip().partition(" ")
        return start.strip() if start and not state.startswith("Z") else None
    try:
        # The name in parentheses may hold spaces; state is the first field after it, start time the twentieth.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else f"{fields[19]}@{BOOT_ID.read_text(encoding='utf-8').strip()}"


def record(path: Path, pid: int) -> None:
    partial = path.with_suffix(f".{pid}")
    partial.write_text(f"{pid} {began(pid)}", encoding="utf-8")
    os.replace(partial, path)


def living(path: Path) -> int | None:
    """The pid in this file if that very process still lives."""
    try:
        pid, _, start = path.read_text(encoding="utf-8").partition(" ")
    except FileNotFoundError:
        return None
    return int(pid) if pid.isdigit() and began(int(pid)) == start else None


def end(paths: Iterable[Path], signal_number: int, wait_s: float) -> list[str]:
    """End the recorded processes that still live; those that do not go are killed. Returns their names."""
    alive = {path: pid for path in paths if (pid := living(path)) is not None}
    for pid in alive.values():
        _signal(pid, signal_number)
    deadline = time.monotonic() + wait_s
    while any(living(path) for path in alive) and time.monotonic() < deadline:
        time.sleep(0.02)
    for path, pid in alive.items():
        if living(path):
            _signal(pid, signal.SIGKILL)
    for path in paths:
        path.unlink(missing_ok=True)
    return [path.stem for path in alive]


def _signal(pid: int, signal_number: int) -> None:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        pass  # it went by itself in between
