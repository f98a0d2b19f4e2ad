"""`make test`: what CI runs. Set-up, system packages, formatting, lint, types, pytest, then the browser tests.

`python3 -m ops.test [lint]`. Every step runs even if an earlier one failed; one failure fails the whole. A step that
had to be skipped is said at the end, and with CI=true it counts as failed.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ops import debian
from ops.console import say
from ops.data import ROOT
from ops.problem import exit_with
from ops.setup import VENV, node_path, set_up

BIN = VENV / "bin"
LINT = {
    "ruff format": [str(BIN / "ruff"), "format", "--check", "."],
    "ruff check": [str(BIN / "ruff"), "check", "."],
    "mypy": [str(BIN / "mypy")],
}
SYSTEM_PACKAGES = (*debian.BROWSER, *debian.OCR, *debian.OFFICE)
CJK_FONTS = Path("/usr/share/fonts/opentype/noto")


def main() -> int:
    in_ci = os.environ.get("CI", "").lower() in {"1", "true"}
    only_lint = sys.argv[1:] == ["lint"]
    set_up("test")
    skipped = "" if only_lint else _provide_programs()
    steps = dict(LINT)
    if not only_lint:
        steps["JavaScript"] = ["env", "NODE_OPTIONS=--test-reporter=spec", "npm", "test", "--silent"]
        steps["pytest"] = [str(BIN / "pytest")]
        if not skipped:
            # A run of its own: Playwright's synchronous loop and asyncio tests do not share a thread.
            steps["browser"] = [str(BIN / "pytest"), "tests/browser"]
    failed, closing = [], {}
    for name, argv in steps.items():
        status, last = _run(name, argv)
        closing[name] = last
        if status != 0 or (name == "browser" and in_ci and re.search(r"\bskipped\b", last)):
            failed.append(name)
    if skipped:
        closing["browser"] = f"SKIPPED: {skipped}"
        failed += ["browser (skipped)"] if in_ci else []
    say("")
    if failed:
        say(f"FAILED: {', '.join(failed)}")
    for name, last in closing.items():
        if name in {"pytest", "browser"}:
            say(f"{name}: {last.strip('= ')}")
    return 1 if failed else 0


def _run(name: str, argv: Sequence[str]) -> tuple[int, str]:
    """Run a step with its output shown as it comes. Returns its status and its last line."""
    say(f"\n--- {name}")
    last = ""
    with subprocess.Popen(
        argv, cwd=ROOT, env=node_path(), text=True, stdout=subprocess.PIPE, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    return process.returncode, last


def _provide_programs() -> str:
    """Chromium, LibreOffice, tesseract and fonts, installed if we may. Returns why the browser tests must be skipped.

    The tests of parsers skip themselves for what is missing, and fail on it with CI=true.
    """
    lacking = [] if _has_everything() else debian.missing(SYSTEM_PACKAGES)
    if lacking and debian.can_install():
        say(f"  system packages for the tests: {' '.join(lacking)} (up to 350 MB to fetch) ...")
        problem = debian.install(lacking)
    else:
        problem = f"missing here; type: sudo {' '.join(debian.command(lacking))}" if lacking else ""
    if problem:
        say(f"  {problem}")
    return "" if shutil.which("chromium") and CJK_FONTS.exists() else problem or "Chromium or its fonts are missing"


def _has_everything() -> bool:
    return CJK_FONTS.exists() and all(shutil.which(program) for program in ("chromium", "soffice", "tesseract"))


if __name__ == "__main__":
    exit_with(main)
