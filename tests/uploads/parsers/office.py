"""LibreOffice, the program that makes half of the corpus."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

PROGRAM = "soffice"


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


def convert(sources: Iterable[Path], form: str, folder: Path) -> None:
    """Save each source as `form` (an extension, or extension:filter) in the folder."""
    profile = (folder / "profile").as_uri()
    argv = [PROGRAM, f"-env:UserInstallation={profile}", "--headless", "--convert-to", form, "--outdir", str(folder)]
    done = subprocess.run([*argv, *map(str, sources)], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
