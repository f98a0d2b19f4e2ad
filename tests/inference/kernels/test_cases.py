"""Every kernel that is measured computes what its plain form says, and compiles for Hopper without spilling."""

import json
import os
import subprocess
import sys

import pytest
import torch

from inference.bench.gpu.case import Case, relative_error, worst_error
from inference.bench.gpu.cases import all_cases
from tests.inference.kernels.hopper import MAX_SHARED_BYTES

CASES = all_cases()


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_kernel_equals_its_plain_form(case: Case) -> None:
    problem = case.small(torch.device("cpu"))
    assert worst_error(problem, case.configs[0]) <= problem.tolerance


@pytest.mark.parametrize("name", list(CASES))
def test_a_kernel_compiles_for_hopper_and_keeps_its_numbers_in_registers(name: str) -> None:
    environ = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.inference.kernels.hopper", name], capture_output=True, text=True, env=environ
    )
    assert run.returncode == 0, run.stderr
    kernels = [json.loads(line) for line in run.stdout.splitlines()]
    assert kernels
    for kernel in kernels:
        assert kernel["spilled_bytes"] == 0, kernel
        assert kernel["shared_bytes"] <= MAX_SHARED_BYTES, kernel


def test_what_was_not_written_is_an_error() -> None:
    expected = torch.tensor([1.0, -torch.inf, 2.0])
    assert relative_error(expected.clone(), expected) == 0
    assert relative_error(torch.tensor([1.0, -torch.inf, torch.nan]), expected) == float("inf")
    assert relative_error(torch.tensor([1.0, torch.inf, 2.0]), expected) == float("inf")
    assert relative_error(torch.tensor([1.0, 0.0, 2.0]), expected) == float("inf")
