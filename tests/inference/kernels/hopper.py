"""Compiles kernels for Hopper on a machine without a card: `python -m tests.inference.kernels.hopper [CASE...]`.

Launchers run as they are, on CPU tensors; where they would launch, their kernel is compiled and kept. What the
assembler says of registers, spills and matrix instructions is printed, one line a kernel.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from inference.bench.gpu.cases import all_cases

MAX_SHARED_BYTES = 227 * 1024  # of one program on Hopper


class _Hopper:
    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: int) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Compiled:
    case: str
    config: str
    kernel: str
    num_warps: int
    registers: int  # a thread's
    spilled_bytes: int  # of local memory, a thread's
    shared_bytes: int
    wgmma: int  # matrix instructions of Hopper: HGMMA and QGMMA
    mma: int  # those of older cards, on which nothing large should run
    copies: int  # asynchronous copies into shared memory: LDGSTS, UTMALDG


@contextlib.contextmanager
def compiling(found: list[Any]) -> Iterator[None]:
    """Kernels that would be launched are compiled and added to `found`."""
    before, run = driver._active, JITFunction.run

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel = run(self, *args, grid=grid, warmup=True, **options)
        found.append(kernel)
        return kernel

    driver.set_active(_Hopper())
    JITFunction.run = compile_only
    try:
        yield
    finally:
        JITFunction.run = run
        driver._active = before


def describe(case: str, config: str, kernel: Any) -> Compiled:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        usage = _dump("-res-usage", file.name)
        assembly = _dump("-sass", file.name)
    return Compiled(
        case=case,
        config=config,
        kernel=kernel.name,
        num_warps=kernel.metadata.num_warps,
        registers=int(re.search(r"REG:(\d+)", usage)[1]),  # type: ignore[index]
        spilled_bytes=int(re.search(r"STACK:(\d+)", usage)[1])  # type: ignore[index]
        + int(re.search(r"LOCAL:(\d+)", usage)[1]),  # type: ignore[index]
        shared_bytes=kernel.metadata.shared,
        wgmma=len(re.findall(r"\b[HQI]GMMA", assembly)),
        mma=len(re.findall(r"\b[HQI]MMA", assembly)),
        copies=len(re.findall(r"\bLDGSTS|\bUTMALDG|\bUBLKCP", assembly)),
    )


def compile_case(name: str) -> list[Compiled]:
    """Every configuration of a case; one that cannot be compiled raises what the compiler said."""
    case, compiled = all_cases()[name], []
    problem = case.small(torch.device("cpu"))
    for config in case.configs:
        found: list[Any] = []
        with compiling(found):
            problem.run(config)
        compiled += [describe(name, str(config), kernel) for kernel in found]
    return compiled


def _dump(what: str, cubin: str) -> str:
    return subprocess.run([knobs.nvidia.cuobjdump.path, what, cubin], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    for case_name in sys.argv[1:] or all_cases():
        for kernel in compile_case(case_name):
            print(json.dumps(asdict(kernel)), flush=True)
