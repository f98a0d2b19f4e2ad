"""Parsers that misbehave on purpose, each a function the fenced child is told to load instead of the real one."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from uploads.document import Block, Event, Progress, Source, Started, Unparsable, Unreadable
from uploads.wire import Computed


def line(text: str, number: int = 1) -> Block:
    return Block("text", text, {"kind": "lines", "first": number, "last": number})


def reads_well(source: Source) -> Iterator[Event]:
    yield Started("line", 2)
    for number, text in enumerate(source.path.read_text().splitlines(), 1):
        yield Block("text", text, {"kind": "lines", "first": number, "last": number}, ("Top", "Below"))
        yield Progress(number)
    yield Unreadable(3, "broken")


def prints(source: Source) -> Iterator[Event]:
    print('{"is":"block"}', flush=True)
    os.write(1, b"noise\n")
    os.system("echo more noise; echo and more >&2")
    sys.stderr.write("x" * 1_000_000)
    assert sys.stdin.read() == ""
    yield line("quiet")


def says_how_it_runs(source: Source) -> Iterator[Event]:
    yield line("\n".join(f"{name}={value}" for name, value in sorted(os.environ.items())))
    yield line(os.getcwd())
    yield line(str(os.getpriority(os.PRIO_PROCESS, 0)))
    yield line(str(os.getpgid(0) == os.getpid()))
    yield line(" ".join(sorted(os.listdir("/proc/self/fd"))))


def refused(source: Source) -> Iterator[Event]:
    """Whatever the file's name asks for, line by line: what was refused, and what was not."""
    for name in source.path.read_text().split():
        try:
            ATTEMPTS[name](source)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            yield line(f"{name} refused {type(error).__name__}")
        else:
            yield line(f"{name} went through")


def connect(source: Source, family: int = socket.AF_INET) -> None:
    host, _, port = source.name.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=2) as connection:
        connection.sendall(b"hello")


def connect_from_a_program(source: Source) -> None:
    host, _, port = source.name.rpartition(":")
    program = f"import socket; socket.create_connection(({host!r}, {port}), timeout=2)"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=10)


def connect_by_path(source: Source) -> None:
    socket.socket(socket.AF_UNIX).connect("/nowhere")


def datagram(source: Source) -> None:
    host, _, port = source.name.rpartition(":")
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", (host, int(port)))


def listen(source: Source) -> None:
    socket.create_server(("127.0.0.1", 0)).close()


def call(*arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


IO_URING_SETUP, CLONE_NEWUSER = 425, 0x1000_0000
PTRACE = {"x86_64": 101, "aarch64": 117}.get(os.uname().machine, -1)
UNSHARE = {"x86_64": 272, "aarch64": 97}.get(os.uname().machine, -1)

ATTEMPTS = {
    "connect": connect,
    "connect_from_a_program": connect_from_a_program,
    "connect_by_path": connect_by_path,
    "datagram": datagram,
    "listen": listen,
    "io_uring": lambda _: call(IO_URING_SETUP, 8, 0),
    "ptrace": lambda _: call(PTRACE, 16, os.getppid(), 0, 0),
    "unshare": lambda _: call(UNSHARE, CLONE_NEWUSER),
    "leave_the_group": lambda _: os.setpgid(0, 0) or os.setsid(),
    "signal_the_worker": lambda _: os.kill(os.getppid(), signal.SIGUSR1),
    "signal_everyone": lambda _: os.kill(-1, signal.SIGUSR1),
    "environment_of_the_worker": lambda _: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "read_beside": lambda source: (source.path.parent / "beside.txt").read_text(),
    "list_the_folder": lambda source: os.listdir(source.path.parent),
    "write_the_file": lambda source: source.path.write_text("changed"),
    "write_beside": lambda source: (source.path.parent / "new.txt").write_text("new"),
    "write_tmp": lambda source: Path("/tmp", f"escaped-{os.getpid()}").write_text("new"),
    "read_settings": lambda _: (Path(__file__).parents[2] / "chatapp" / "config.py").read_text(),
    "read_etc": lambda _: Path("/etc/shadow").read_text(),
    "write_here": lambda _: Path("scratch.txt").write_text("mine"),
    "start_a_program": lambda _: subprocess.run(["true"], check=True),
    "raise_limits": lambda _: __import__("resource").setrlimit(__import__("resource").RLIMIT_AS, (2**40, 2**40)),
    "write_a_big_file": lambda _: Path("big").write_bytes(bytes(32 * 1024**2)),
    "write_a_sparse_file": lambda _: os.truncate("scratch.txt", 2**40),
}


def eats_memory(source: Source) -> Iterator[Event]:
    yield line("before")
    hoard = [bytes(10 * 1024**3)]
    yield line(str(len(hoard)))


def eats_memory_slowly(source: Source) -> Iterator[Event]:
    hoard = []
    while True:
        hoard.append(bytearray(b"x" * 1024**2))
        yield Progress(len(hoard))


def eats_memory_in_many(source: Source) -> Iterator[Event]:
    yield line("before")
    for _ in range(8):
        if os.fork() == 0:
            hoard = b"x" * (100 * 1024**2)
            time.sleep(60 + len(hoard) * 0)
    time.sleep(60)


def wraps_a_memory_error(source: Source) -> Iterator[Event]:
    yield line("before")
    try:
        bytes(10 * 1024**3)
    except MemoryError as error:
        raise ValueError("secret text") from error


def forks_for_ever(source: Source) -> Iterator[Event]:
    yield line("before")
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def leaves_a_child(source: Source) -> Iterator[Event]:
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
    yield line(str(pid))


def holds_the_pipe_and_dies(source: Source) -> Iterator[Event]:
    yield line("before")
    if os.fork():
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def sleeps(source: Source) -> Iterator[Event]:
    yield line(str(os.getpid()))
    time.sleep(600)


def ignores_every_signal(source: Source) -> Iterator[Event]:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    yield line(str(os.getpid()))
    time.sleep(600)


def loops(source: Source) -> Iterator[Event]:
    yield line("before")
    while True:
        pass


def is_killed(source: Source) -> Iterator[Event]:
    yield line("before")
    os.kill(os.getpid(), signal.SIGKILL)


def reads_address_nought(source: Source) -> Iterator[Event]:
    yield line("before")
    ctypes.string_at(0)


def aborts(source: Source) -> Iterator[Event]:
    yield line("before")
    os.abort()


def lacks_memory_as_rust_does(source: Source) -> Iterator[Event]:
    yield line("before")
    os.write(2, b"secret text\nmemory allocation of 412316860416 bytes failed\n")
    os.abort()


def complains_without_end(source: Source) -> Iterator[Event]:
    yield line("before")
    while True:
        os.write(2, b"memory allocation of 1 bytes failed" * 1000)


def exits(source: Source) -> Iterator[Event]:
    yield line("before")
    os._exit(0)


def exits_politely(source: Source) -> Iterator[Event]:
    yield line("before")
    sys.exit(3)


def raises(source: Source) -> Iterator[Event]:
    yield line("before")
    raise ValueError("secret text of the file")


def gives_up(source: Source) -> Iterator[Event]:
    yield Started("page", 1)
    raise Unparsable("encrypted")


def wire_descriptor() -> int:
    """The child's own copy of its pipe: a parser that was taken over would find it as well."""
    return next(fd for fd in range(3, 256) if os.path.exists(f"/proc/self/fd/{fd}") and is_pipe(fd))


def is_pipe(fd: int) -> bool:
    return os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")


def talks_nonsense(source: Source) -> Iterator[Event]:
    yield line("before")
    os.write(wire_descriptor(), source.name.encode() + b"\n")
    time.sleep(600)


def closes_the_pipe(source: Source) -> Iterator[Event]:
    yield line("before")
    os.close(wire_descriptor())
    time.sleep(600)


def floods(source: Source) -> Iterator[Event]:
    yield line("before")
    while True:
        os.write(wire_descriptor(), b"x" * 65536)


def never_stops(source: Source) -> Iterator[Event]:
    number = 0
    while True:
        number += 1
        yield line("word " * 200, number)


def writes_many_files(source: Source) -> Iterator[Event]:
    yield line("before")
    for number in range(10**9):
        Path(str(number)).write_bytes(b"")


def fills_the_disk(source: Source) -> Iterator[Event]:
    yield line("before")
    for number in range(10**9):
        Path(str(number)).write_bytes(bytes(1024**2))


def locks_its_folder(source: Source) -> Iterator[Event]:
    Path("a/b").mkdir(parents=True)
    Path("a/b/c").write_text("here")
    os.symlink("/etc", "a/link")
    os.chmod("a/b", 0)
    os.chmod("a", 0)
    yield line(os.getcwd())


def answers_unasked(source: Source) -> Iterator[Computed]:
    yield Computed("{}")
