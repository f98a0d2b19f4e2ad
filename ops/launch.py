"""Become a program after leaving its pid for the next start: `python -S -m ops.launch PIDFILE PROGRAM ...`."""

import os
import sys
from pathlib import Path

from ops import pids

if __name__ == "__main__":
    pid_file, *argv = sys.argv[1:]
    pids.record(Path(pid_file), os.getpid())
    os.execv(argv[0], argv)
