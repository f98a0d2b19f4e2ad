"""The data directory: private, locked, and the same secrets for ever."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ops.data import ROOT, SECRETS, DataDir
from ops.problem import Problem


def test_secrets_are_made_once_and_are_for_the_owner_alone(tmp_path: Path) -> None:
    first = {name: DataDir(tmp_path / "data").secret(name) for name in SECRETS}
    again = DataDir(tmp_path / "data")
    assert {name: again.secret(name) for name in SECRETS} == first
    assert len(set(first.values())) == len(SECRETS)
    for name in SECRETS:
        assert stat.S_IMODE(again.secret_path(name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data" / "secrets").stat().st_mode) == 0o700


def test_second_start_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    held = DataDir(tmp_path)
    held.acquire()
    with pytest.raises(Problem, match=rf"in use by process {os.getpid()}, started"):
        DataDir(tmp_path).acquire()
    held.release()
    DataDir(tmp_path).acquire()


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from ops.data import DataDir; DataDir(Path({str(tmp_path)!r})).acquire()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    DataDir(tmp_path).acquire()


def test_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Problem, match="cannot be made.*another SONDE_DATA"):
        DataDir(tmp_path / "file" / "data")


def test_socket_folder_stays_short_and_private_under_a_long_path(tmp_path: Path) -> None:
    folder = DataDir(tmp_path / ("long" * 30)).socket_dir()
    try:
        assert len(str(folder)) < 90
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder.chmod(0o755)
        with pytest.raises(Problem, match="not private"):
            DataDir(tmp_path / ("long" * 30)).socket_dir()
    finally:
        folder.rmdir()
