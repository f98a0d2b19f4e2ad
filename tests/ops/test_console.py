"""What a person sees while something takes long, and when it fails."""

import sys
from pathlib import Path

import pytest

from ops.console import Logs, run_shown
from ops.problem import Problem


def test_failed_step_shows_the_end_of_its_output_and_what_to_do() -> None:
    code = "import sys; [print('line', n) for n in range(30)]; sys.exit(3)"
    with pytest.raises(Problem, match=r"(?s)fetching failed \(status 3\).*line 29.*type the command again") as caught:
        run_shown("fetching", [sys.executable, "-c", code])
    assert "line 2\n" not in str(caught.value)


def test_missing_program_is_named() -> None:
    with pytest.raises(Problem, match="no-such-program is not there"):
        run_shown("fetching", ["no-such-program"])


def test_logs_show_whole_new_lines_behind_the_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "web.log").write_text("before\n")
    logs = Logs(tmp_path, ["web", "runner"])
    with (tmp_path / "web.log").open("a") as file:
        file.write("first\nhalf a li")
        file.flush()
        logs.show()
        file.write("ne\n")
    (tmp_path / "runner.log").write_text("new file\n")
    logs.show()
    assert capsys.readouterr().out == "   web | first\n   web | half a line\nrunner | new file\n"


def test_services_are_quiet_until_something_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = Logs(tmp_path, ["postgres"])
    (tmp_path / "postgres.log").write_text("LOG: checkpoint\nFATAL: the database system is starting up\nPANIC: disk\n")
    logs.show()
    assert capsys.readouterr().out == "postgres | PANIC: disk\n"


def test_rotated_log_is_read_from_its_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "web.log").write_text("a long line of before\n")
    logs = Logs(tmp_path, ["web"])
    (tmp_path / "web.log").write_text("fresh\n")
    logs.show()
    assert capsys.readouterr().out == "web | fresh\n"
