"""Each measure of the confinement alone: what one machine lacks, the others must still hold."""

import errno
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from uploads.seccomp import CLONE, CLONE3, KILL, PROCESSORS, REFUSED, X32_CALLS, filter_for

ROOT = Path(__file__).resolve().parents[2]
ALLOW, REFUSE, UNKNOWN = 0x7FFF_0000, 0x0005_0000 | errno.EPERM, 0x0005_0000 | errno.ENOSYS


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def run(program: str, *arguments: str) -> str:
    """In a process of its own: none of this can be taken back."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def needs(measure: str) -> None:
    """Some containers forbid one of them; the fence says so and goes on with the others."""
    if run(f"try:\n    {measure}\n    print('had')\nexcept OSError as error:\n    print(error)") != "had":
        pytest.skip(f"not to be had on this machine: {measure}")


CUT_NETWORK = "from uploads.seccomp import cut_network; cut_network()"
LEAVE_NETWORK = "from uploads.confinement import leave_network; leave_network()"
SHUT_FILES = "from uploads.landlock import shut_files; shut_files([], [])"
CONNECTS = """
import socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2)
    print("connected")
except OSError as error:
    print(type(error).__name__)
"""


def test_the_listener_is_reached_without_any_measure(listener: socket.socket) -> None:
    assert run(CONNECTS, str(listener.getsockname()[1])) == "connected"
    listener.accept()[0].close()


@pytest.mark.parametrize("measure", [CUT_NETWORK, LEAVE_NETWORK, SHUT_FILES])
def test_one_measure_alone_cuts_the_network(listener: socket.socket, measure: str) -> None:
    needs(measure)
    imported = "import encodings.idna, socket\n"  # before the files are shut
    assert run(imported + measure + CONNECTS, str(listener.getsockname()[1])).endswith("Error")
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_a_namespace_leaves_no_right_behind() -> None:
    needs(LEAVE_NETWORK)
    program = f"{LEAVE_NETWORK}; print(open('/proc/self/status').read())"
    lines = dict(line.split(":\t", 1) for line in run(program).splitlines() if line.startswith("Cap"))
    assert [lines[name] for name in ("CapInh", "CapPrm", "CapEff")] == ["0" * 16] * 3


COUNTS_FORKS = f"""
import os, resource, time
import uploads.confinement, uploads.landlock  # as root, in case nobody else may read them
if os.getuid() == 0:  # whose processes the kernel does not count
    os.setresgid(61184, 61184, 61184)
    os.setresuid(61184, 61184, 61184)
    uploads.landlock.prctl(4, 1)  # PR_SET_DUMPABLE: /proc/self is ours again after the change of user
{LEAVE_NETWORK}
resource.setrlimit(resource.RLIMIT_NPROC, (3, 3))
forks = 0
try:
    while os.fork():
        forks += 1
    time.sleep(1)
    os._exit(0)
except BlockingIOError:
    print(forks)
"""


def test_a_namespace_counts_its_own_processes_only() -> None:
    needs(LEAVE_NETWORK)
    assert run(COUNTS_FORKS) == "2"


@pytest.mark.parametrize("machine", PROCESSORS)
def test_the_filter_refuses_its_table_and_nothing_else(machine: str) -> None:
    processor = PROCESSORS[machine]
    program = list(struct.iter_unpack("<HBBI", filter_for(processor)))

    def answer(number: int, first_argument: int = 0, arch: int = processor.audit_arch) -> int:
        return interpret(program, struct.pack("<IIQQQQQQQ", number, arch, 0, first_argument, 0, 0, 0, 0, 0))

    refused = {numbers[processor.column] for numbers in REFUSED.values()} - {None}
    special = {CLONE3[processor.column]}
    for number in range(500):
        expected = UNKNOWN if number in special else REFUSE if number in refused else ALLOW
        assert answer(number) == expected, number
    threads, new_network = 0x003D_0F00, 0x4000_0011
    assert answer(CLONE[processor.column], threads) == ALLOW
    assert answer(CLONE[processor.column], new_network) == REFUSE
    assert answer(KILL[processor.column], 0xFFFF_FFFF_FFFF_FFFF) == REFUSE
    assert answer(KILL[processor.column], 4711) == ALLOW
    assert answer(0, arch=0x4000_0003) == 0x8000_0000  # 32-bit calls end the process
    assert answer(X32_CALLS | 41) == UNKNOWN


def interpret(program: list[tuple[int, ...]], data: bytes) -> int:
    """Classic BPF as the kernel runs it, as far as our filter uses it."""
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        match code:
            case 0x20:
                accumulator = int.from_bytes(data[value : value + 4], "little")
            case 0x06:
                return value
            case 0x15 | 0x35 | 0x45:
                holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
                at += if_true if holds else if_false
            case _:
                raise AssertionError(f"{code:#x}")
