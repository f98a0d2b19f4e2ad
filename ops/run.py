"""`make run`: set up, start everything, say where the page is, stop everything on Ctrl-C.

Started by the system's python3; goes on inside .venv once that exists.
"""

import os
import signal
import subprocess
import sys
import time

from ops.console import Logs, say
from ops.data import ROOT, DataDir, data_path
from ops.problem import exit_with
from ops.setup import PYTHON, VENV, set_up

READY_S = 120  # the model is read from a cold disk on a slow machine


def main() -> int:
    if sys.prefix != str(VENV):
        set_up("run")
        os.execv(PYTHON, [str(PYTHON), "-m", "ops.run"])
    return serve()


def serve() -> int:
    """Everything runs while this does. Returns the status to leave with."""
    from ops.supervisor import Stack

    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    began = time.monotonic()
    data = DataDir(data_path())
    stack = Stack(data)
    logs = Logs(data / "logs", ["supervisor", *(process.name for process in stack.processes)])
    try:
        stack.start()
        say(f"\nSonde is at {stack.url} ({time.monotonic() - began:.1f} s; logs in {data / 'logs'}; Ctrl-C stops it)")
        link = owner_link(stack.env)
        if link:
            say(f"No account yet. Make the owner's, once, at: {link}")
        logs.show()
        stack.wait_ready(READY_S)
        say(f"Everything runs ({time.monotonic() - began:.1f} s).")
        while stack.alive():
            logs.show()
            time.sleep(0.3)
        say("sonde: the supervisor ended by itself; everything is being stopped")
        return 1
    except KeyboardInterrupt:
        say("\nStopping ...")
        return 0
    finally:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)  # once is enough: stopping takes its seconds and leaves nothing behind
        stack.stop()
        logs.show()
        say("Stopped.")


def owner_link(env: dict[str, str]) -> str:
    """The one-time link that makes the first account; empty once there is one."""
    argv = [sys.executable, "manage.py", "owner_link"]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True)
    if "Traceback" in done.stderr:  # otherwise the one reason is that there is an account already
        say(f"sonde: the owner's link could not be made: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    exit_with(main)
