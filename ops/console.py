"""What a person watching sees: one line a thing, the logs of every process behind its name. Standard library."""

import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ops.data import ROOT
from ops.problem import Problem

# Their chatter stays in the files; what goes wrong is shown, less what is harmless in every start.
QUIET = frozenset({"postgres", "valkey", "supervisor", "worker-io", "worker-parse", "beat"})
TROUBLE = re.compile(r"\b(WARN(ING)?|ERROR|CRIT|FATAL|PANIC)\b")
HARMLESS = re.compile(
    r"without any HTTP auth|received SIG(TERM|INT)|stopped: |is starting up|shutting down|overcommit|SecurityWarning"
)


def say(text: str) -> None:
    print(text, flush=True)


def run_shown(title: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Run a step that takes a while, showing that it lives. Raises Problem with the end of what it printed."""
    began = shown = time.monotonic()
    say(f"  {title} ...")
    tail: deque[str] = deque(maxlen=15)
    try:
        process = subprocess.Popen(
            argv, cwd=ROOT, env=env, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except FileNotFoundError as error:
        raise Problem(f"{title}: {argv[0]} is not there") from error
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip():
                tail.append(line.rstrip())
            if time.monotonic() - shown > 3:
                shown = time.monotonic()
                say(f"    {shown - began:4.0f} s  {line.strip()[:100]}")
    if process.returncode != 0:
        end = "\n".join(f"    {line}" for line in tail)
        raise Problem(f"{title} failed (status {process.returncode}):\n{end}\n  Mend that and type the command again.")
    if time.monotonic() - began > 3:
        say(f"    {time.monotonic() - began:4.0f} s  done")


class Logs:
    """New lines of the log files of a folder, from the moment this object is made."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._width = max(map(len, names))
        self._paths = {name: folder / f"{name}.log" for name in names}
        self._offsets = {name: path.stat().st_size if path.exists() else 0 for name, path in self._paths.items()}

    def show(self) -> None:
        for name in self._paths:
            for line in self._new_lines(name):
                if name not in QUIET or (TROUBLE.search(line) and not HARMLESS.search(line)):
                    print(f"{name:>{self._width}} | {line}", file=sys.stdout)
        sys.stdout.flush()

    def _new_lines(self, name: str) -> Iterator[str]:
        path = self._paths[name]
        size = path.stat().st_size if path.exists() else 0
        if size < self._offsets[name]:
            self._offsets[name] = 0  # rotated
        if size == self._offsets[name]:
            return
        with path.open("rb") as file:
            file.seek(self._offsets[name])
            whole, newline, _ = file.read(1 << 20).rpartition(b"\n")
        self._offsets[name] += len(whole) + len(newline)
        yield from whole.decode("utf-8", errors="replace").splitlines()
