"""`make run` as a person sees it: the line with the URL, the page, Ctrl-C, and nothing left."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from ops import pids
from ops.data import ROOT, DataDir
from ops.environment import free_ports, without_settings

pytestmark = pytest.mark.crash


def test_page_is_at_the_url_that_is_named_and_ctrl_c_leaves_nothing(data_folder: Path) -> None:
    environ = {
        **without_settings(),
        "SONDE_DATA": str(data_folder),
        "SONDE_PORT": str(free_ports(1)[0]),
        "PYTHONUNBUFFERED": "1",
    }
    argv = [sys.executable, "-m", "ops.run"]
    with subprocess.Popen(
        argv, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as run:
        assert run.stdout is not None
        shown = ""
        for line in run.stdout:
            shown += line
            if "welcome" in line:
                break
        address = re.search(r"Sonde is at (http://127\.0\.0\.1:\d+/)", shown)
        link = re.search(rf"{address[1]}welcome/\S+" if address else "$^", shown)
        assert address and link, shown
        with urllib.request.urlopen(link[0], timeout=10) as page:
            assert page.status == 200
        started = {path.name: pids.living(path) for path in (DataDir(data_folder) / "pids").iterdir()}
        assert {"supervisord", "web", "postgres", "valkey"} <= {name for name, pid in started.items() if pid}
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to everyone in the foreground
        rest, _ = run.communicate(timeout=60)
    assert run.returncode == 0, rest
    assert rest.rstrip().endswith("Stopped.")
    assert [name for name, pid in started.items() if pid and pids.began(pid)] == []


def test_setting_that_is_wrong_is_named_in_one_line(data_folder: Path) -> None:
    environ = {**without_settings(), "SONDE_DATA": str(data_folder), "SONDE_PORT": "http"}
    done = subprocess.run([sys.executable, "-m", "ops.run"], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "sonde: SONDE_PORT='http' must be a whole number from 1 to 65535\n"
