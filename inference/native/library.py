"""Builds decode.cpp for the machine at hand, once, and loads it. Without a compiler there is no library, and no error.

The file's name holds a digest of the sources and of what the processor can do, so an image that moves to another
machine never runs instructions that are not there.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

SOURCES = Path(__file__).parent
BUILT = SOURCES.parents[1] / "var" / "native"
COMPILERS = ("c++", "g++", "clang++")
# Not -ffast-math: it orders sums by the alignment of their data, and a thread's choice would change an answer.
FLAGS = (
    *("-std=c++20", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
    *("-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Wno-maybe-uninitialized", "-Wno-psabi"),
)
MACHINE_FLAGS = ("-march=native", "-mprefer-vector-width=512")
# What makes a product of bytes fast. Elsewhere PyTorch's own operators are as good.
FAST_FLAGS = {"avx512_vnni", "avx_vnni"}


class BuildError(RuntimeError):
    """There is no compiler, or it does not take the source."""


@cache
def load() -> ctypes.CDLL | None:
    """The library, built now if need be; None where this machine has no compiler or no use for it."""
    if not FAST_FLAGS & cpu_flags():
        return None
    path = BUILT / f"decode-{_digest()}.so"
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            build(path)
        except (BuildError, OSError) as error:
            logger.info("decoding in PyTorch: %s", error)
            return None
    return ctypes.CDLL(str(path))


def build(path: Path, machine_flags: tuple[str, ...] = MACHINE_FLAGS) -> None:
    """Compiles to `path`, which appears whole or not at all. Raises BuildError."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise BuildError("there is no C++ compiler")
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        unfinished = Path(directory, path.name)
        command = [compiler, *FLAGS, *machine_flags, str(SOURCES / "decode.cpp"), "-o", str(unfinished)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise BuildError(f"decode.cpp does not compile here: {result.stderr.strip()[-2000:]}")
        unfinished.replace(path)


def has_amx() -> bool:
    """Whether PyTorch has the processor's products of tiles, which read prompts faster than those of bytes."""
    return "amx_bf16" in cpu_flags() and "ONEDNN_MAX_CPU_ISA" not in os.environ


def cpu_flags() -> frozenset[str]:
    """What the processor says it can do; empty where the system has no such list."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


def _digest() -> str:
    digest = hashlib.blake2b(digest_size=8)
    for source in sorted((*SOURCES.glob("*.cpp"), *SOURCES.glob("*.h"))):
        digest.update(source.read_bytes())
    digest.update(" ".join((platform.machine(), *FLAGS, *MACHINE_FLAGS, *sorted(cpu_flags()))).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    load()
