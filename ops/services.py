"""PostgreSQL and Valkey without a supervisor, for tests: real servers in a kept folder, started in a fifth of a second.

Several test runs may go on side by side: each takes the first free slot, a data directory under its lock.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ops import pids, postgres, valkey
from ops.data import ROOT, DataDir
from ops.environment import choose_ports, environment, publish, without_settings
from ops.problem import Problem

SLOTS = 16
# Nothing here outlives the machine, so nothing waits for the disk. Commits still reach the kernel before they are
# told (synchronous_commit stays on): tests kill the server and ask for what it had accepted.
FAST = ("fsync=off", "full_page_writes=off")


class Services:
    """The two servers of one test run; `env` is known before they start."""

    def __init__(self, folder: Path, environ: Mapping[str, str] = os.environ) -> None:
        self.data = _free_slot(folder)
        self._ports = choose_ports({})
        self.env = environment(self.data, self._ports, without_settings(environ))
        publish(self.data, self._ports, self.env)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def database_url(self) -> str:
        return postgres.server_url(self.data, "127.0.0.1", self._ports.postgres)

    @property
    def redis_url(self) -> str:
        return valkey.server_url(self.data, "127.0.0.1", self._ports.valkey)

    def start(self) -> None:
        """Both answer when this returns; what a killed run left in this slot has ended."""
        self._end_orphans()
        self._start("postgres")
        self._start("valkey")
        try:
            valkey.wait_until_ready(self.redis_url, timeout_s=20)
            postgres.wait_until_ready(self.database_url, timeout_s=60)
            postgres.check(self.database_url)
        except Problem as problem:
            self.stop()
            raise Problem(f"{problem}; see {self.data / 'logs'}") from problem

    def kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes.pop(name).wait()

    def revive(self, name: str) -> None:
        """Starts a killed one again and returns when it answers."""
        self._start(name)
        if name == "valkey":
            valkey.wait_until_ready(self.redis_url, timeout_s=20)
        else:
            postgres.wait_until_ready(self.database_url, timeout_s=60)

    def stop(self) -> None:
        for name, process in reversed(list(self._processes.items())):
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        self._end_orphans()

    def close(self) -> None:
        """Stop, and leave the slot to others."""
        self.stop()
        self.data.release()

    def _start(self, name: str) -> None:
        if name == "valkey":
            self._spawn("valkey", "ops.valkey", "--port", str(self._ports.valkey))
            return
        settings = [word for setting in FAST for word in ("--set", setting)]
        port = str(self._ports.postgres)
        self._spawn("postgres", "ops.postgres", "--port", port, "--may-create-databases", *settings)

    def _spawn(self, name: str, module: str, *options: str) -> None:
        argv = [sys.executable, "-S", "-m", "ops.launch", str(self.data / "pids" / name), sys.executable, "-m", module]
        with open(self.data / "logs" / f"{name}.log", "ab") as log:
            # A session of its own: Ctrl-C ends the tests first, then the tests end their services.
            self._processes[name] = subprocess.Popen(
                [*argv, *options],
                cwd=ROOT,
                env=self.env,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _end_orphans(self) -> None:
        pids.end([self.data / "pids" / "postgres"], signal.SIGINT, wait_s=10)
        pids.end([self.data / "pids" / "valkey"], signal.SIGTERM, wait_s=10)


def _free_slot(folder: Path) -> DataDir:
    for number in range(SLOTS):
        data = DataDir(folder / str(number))
        try:
            data.acquire()
        except Problem:
            continue
        return data
    raise Problem(f"{SLOTS} test runs use {folder} already: wait for one to end")
