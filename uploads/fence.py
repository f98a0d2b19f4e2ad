"""One file read by one fenced child: `read_file(source)` gives its events, then ends or says why not. Knows no Django.

The child confines itself (confinement.py); from here come the deadline, the count of what it writes, starts and takes,
and the judgement how it ended. It may die, hang, flood or lie at any moment: the worker lives, what was read stays.
"""

import contextlib
import logging
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from uploads.document import Block, Event, Fault, Source, Unparsable
from uploads.wire import NO_MEMORY, Computed, Confined, Ended, Failed, Job, WireError, decode, encode_job

logger = logging.getLogger(__name__)

CHILD = Path(__file__).resolve().parent / "child.py"
CHUNK_BYTES = 1 << 16
TICK_S = 0.25  # how late a cancellation or an overgrown group may be seen
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
WATCH_SHARE = 0.05  # of our time goes into looking, however many processes the machine has
EXIT_S = 5.0  # between the last word and the end of the process

LAST_WORDS_BYTES = 4096
# As Rust, C++ and C libraries put it.
NO_ROOM = re.compile(rb"(?i)memory allocation of \d+ bytes failed|bad_alloc|out of memory|cannot allocate memory")

# All the child knows of its surroundings. One thread each: more fight over the cores, and tesseract is 7 times slower.
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "OMP_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",  # an arena a thread is 64 MB of address space each
}


class ReadingCancelled(Exception):
    """Whoever asked for the file no longer wants it."""


@dataclass(frozen=True, slots=True)
class FenceLimits:
    seconds: float = 600.0
    cpu_seconds: int = 1200  # of one process: twice the deadline, for what runs in two threads
    memory_bytes: int = 2 * 1024**3  # of address space for one process, of memory for all of them together
    file_bytes: int = 512 * 1024**2
    scratch_bytes: int = 2 * 1024**3
    scratch_files: int = 10_000
    processes: int = 64  # with threads; OCR starts one program a page
    open_files: int = 256
    line_bytes: int = 16 * 1024**2
    output_bytes: int = 1024**3
    blocks: int = 2_000_000
    # Beside Python's own folders and the system's: data of an OCR program that is kept elsewhere.
    readable: tuple[Path, ...] = ()


def never() -> bool:
    return False


def read_file(
    source: Source,
    limits: FenceLimits = FenceLimits(),
    *,
    is_cancelled: Callable[[], bool] = never,
    parser: str = "",
) -> Generator[Event, None, None]:
    """Events as the child finds them. Raises Unparsable of a bad file, ReadingCancelled soon after `is_cancelled`.

    Closing the iterator ends the child. `parser`, "/path/file.py:function", stands in for the real one in tests.
    """
    with child_for(source, limits, is_cancelled, parser=parser) as child:
        for message in child.messages():
            if isinstance(message, Computed):
                raise child.failed("crashed", "wire: an answer that nobody asked for")
            yield message


def compute_file(
    source: Source, query: str, limits: FenceLimits, *, is_cancelled: Callable[[], bool] = never, parser: str = ""
) -> str:
    """The answer to a query of uploads/computing. Raises as `read_file` does."""
    with child_for(source, limits, is_cancelled, parser=parser, query=query) as child:
        answers = [message.text for message in child.messages() if isinstance(message, Computed)]
        if len(answers) != 1:
            raise child.failed("crashed", f"wire: {len(answers)} answers")
    return answers[0]


@contextlib.contextmanager
def child_for(
    source: Source, limits: FenceLimits, is_cancelled: Callable[[], bool], *, parser: str = "", query: str = ""
) -> Iterator["Child"]:
    """A child and its folder, for as long as the block lasts."""
    scratch = Path(tempfile.mkdtemp(prefix="reading-"))
    try:
        job = job_for(source, limits, scratch, parser, query)
        child = Child(job, limits, scratch, is_cancelled)
        try:
            yield child
        finally:
            child.end()
    finally:
        remove(scratch)


class Child:
    """The process, its group and its deadline."""

    def __init__(self, job: Job, limits: FenceLimits, scratch: Path, is_cancelled: Callable[[], bool]) -> None:
        self._limits = limits
        self._max_characters = job.source.limits.max_characters
        self._scratch = scratch
        self._is_cancelled = is_cancelled
        self._began = time.monotonic()
        self._next_tick = self._next_watch = self._began + TICK_S
        self._peak_bytes = 0
        self._ticks_too_large = 0
        self._cpu_s = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "utf8", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=scratch,
            env=ENVIRONMENT | {"HOME": str(scratch), "TMPDIR": str(scratch)},
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._out, self._errors = self._process.stdout.fileno(), self._process.stderr.fileno()
        self._last_words = b""
        self._poll = select.poll()
        for descriptor in (self._out, self._errors):
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)
        with contextlib.suppress(BrokenPipeError), self._process.stdin as door:
            door.write(encode_job(job))

    def messages(self) -> Iterator[Event | Computed]:
        characters = blocks = 0
        for line in self._lines():
            try:
                message = decode(line)
            except WireError as error:
                raise self.failed("crashed", f"wire: {error}") from None
            match message:
                case Confined():
                    tell_confinement(message)
                case Failed(fault, where):
                    raise self.failed(fault, where)
                case Ended():
                    return
                case _:
                    if isinstance(message, Block):
                        blocks += 1
                        characters += len(message.text)
                        if characters > self._max_characters or blocks > self._limits.blocks:
                            raise self.failed("too_large", "too much text")
                    yield message
        raise self.failed(*self._why_it_died())

    def end(self) -> None:
        """Kills whatever is left of the group, and buries the child. Safe to call at any moment, once."""
        self._kill()
        assert self._process.stdout and self._process.stderr
        self._process.stdout.close()
        self._process.stderr.close()
        if self._process.returncode is None:
            self._bury()

    def _lines(self) -> Iterator[bytes]:
        parts: list[bytes] = []
        pending = total = 0
        while chunk := self._next_chunk():
            total += len(chunk)
            *whole, rest = chunk.split(b"\n")
            for line in whole:
                yield b"".join([*parts, line])
                parts, pending = [], 0
            parts.append(rest)
            pending += len(rest)
            if pending > self._limits.line_bytes or total > self._limits.output_bytes:
                raise self.failed("crashed", "too long a line or too many")

    def _next_chunk(self) -> bytes:
        """Waits for more; b"" once the child has closed its end or died. Raises at the deadline, or if it overgrows."""
        while True:
            left = self._seconds_left()
            if left <= 0:
                raise self.failed("timeout", "")
            self._look_up()
            has_ended = self._has_ended()
            ready = [descriptor for descriptor, _ in self._poll.poll(0 if has_ended else 1000 * min(TICK_S, left))]
            if self._errors in ready:
                self._hear()
            if self._out in ready:
                with contextlib.suppress(BlockingIOError):
                    return os.read(self._out, CHUNK_BYTES)
            elif has_ended:
                # Something it started may still hold the pipe; it has nothing to say to us.
                return b""

    def _hear(self) -> bool:
        """The end of what it complains of; it may quote the file, so that it is looked through and never logged."""
        try:
            words = os.read(self._errors, CHUNK_BYTES)
        except BlockingIOError:
            return False
        self._last_words = (self._last_words + words)[-LAST_WORDS_BYTES:]
        if not words:
            with contextlib.suppress(KeyError):  # the end is heard again by whoever asks again
                self._poll.unregister(self._errors)
        return bool(words)

    def _look_up(self) -> None:
        """Once a tick: is it still wanted, is it still small?"""
        if time.monotonic() < self._next_tick:
            return
        if self._is_cancelled():
            raise ReadingCancelled
        began = time.monotonic()
        self._next_tick = began + TICK_S
        if began >= self._next_watch:
            self._watch()
            self._next_watch = began + (time.monotonic() - began) / WATCH_SHARE

    def _watch(self) -> None:
        """What no kernel limit bounds: memory of all together, root's processes, many small files."""
        processes, resident = group_size(self._process.pid)
        self._peak_bytes = max(self._peak_bytes, resident)
        if processes > self._limits.processes:
            raise self.failed("crashed", "too many processes")
        if resident <= self._limits.memory_bytes:
            self._ticks_too_large = 0
        else:
            self._ticks_too_large += 1
        # Twice in a row: while it starts a program, a process stands there twice with the same memory.
        if self._ticks_too_large > 1:
            raise self.failed("memory", "")
        files, written = folder_size(self._scratch, self._limits.scratch_files)
        if files > self._limits.scratch_files or written > self._limits.scratch_bytes:
            raise self.failed("bomb", "too much written")

    def _why_it_died(self) -> tuple[Fault, str]:
        deadline = time.monotonic() + min(EXIT_S, max(0.0, self._seconds_left()))
        while not self._has_ended():
            if time.monotonic() > deadline:
                return "timeout", "silent, and does not end"
            time.sleep(0.01)
        self._kill()
        status = self._bury()
        if status == NO_MEMORY:
            return "memory", ""
        if status == -signal.SIGXCPU or (status < 0 and self._cpu_s > self._limits.cpu_seconds):
            return "timeout", "processor time"
        how = f"signal {-status}" if status < 0 else f"exit {status}"
        while self._hear():
            pass
        # The kernel's own killing for want of memory looks like any other; libraries say a word before they abort.
        if status < 0 and (self._peak_bytes > self._limits.memory_bytes / 2 or NO_ROOM.search(self._last_words)):
            return "memory", how
        return "crashed", how

    def _seconds_left(self) -> float:
        return self._began + self._limits.seconds - time.monotonic()

    def _has_ended(self) -> bool:
        """Looks without burying: until then its process group's number cannot be another's."""
        if sys.platform == "darwin":
            return self._process.poll() is not None
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process.returncode is not None or os.waitid(os.P_PID, self._process.pid, options) is not None

    def _kill(self) -> None:
        if self._process.returncode is None or sys.platform == "darwin":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _bury(self) -> int:
        if self._process.returncode is None:
            _, status, usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self._cpu_s = usage.ru_utime + usage.ru_stime
            # Linux begins a child's count at what its parent held when it was started: less than that says nothing.
            if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
                self._peak_bytes = max(self._peak_bytes, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
        return self._process.returncode

    def failed(self, fault: Fault, where: str) -> Unparsable:
        seconds = time.monotonic() - self._began
        level = logging.WARNING if fault in ("crashed", "memory", "timeout") else logging.INFO
        logger.log(level, "child %d fault=%s at=%r %.2fs", self._process.pid, fault, where, seconds)
        return Unparsable(fault)


def job_for(source: Source, limits: FenceLimits, scratch: Path, parser: str, query: str) -> Job:
    under_test = (parser.rpartition(":")[0],) if parser else ()
    return Job(
        source=replace(source, path=source.path.absolute()),  # the child's folder is another
        scratch=str(scratch),
        cpu_seconds=limits.cpu_seconds,
        memory_bytes=limits.memory_bytes,
        file_bytes=limits.file_bytes,
        open_files=limits.open_files,
        processes=limits.processes,
        line_bytes=limits.line_bytes,
        readable=(*map(str, limits.readable), *under_test),
        parser=parser,
        query=query,
    )


@cache
def tell_confinement(confined: Confined) -> None:
    """Once a process and kind of confinement: whoever runs this should know what is missing."""
    if not confined.network:
        logger.warning("parsers are NOT cut off the network here: neither seccomp nor a namespace can be had")
    if not confined.files:
        logger.warning("parsers are NOT kept from other files here: no Landlock")
    logger.info("parsers are confined by %s", ", ".join([*confined.network, *confined.files]) or "limits alone")


def group_size(group: int) -> tuple[int, int]:
    """Processes of the group and the memory they hold, shared pages counted for each; (0, 0) without /proc."""
    processes = resident = 0
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if entry.isdigit():
            with contextlib.suppress(OSError):
                fields = Path("/proc", entry, "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[2]) == group:
                    processes += 1
                    resident += int(fields[21]) * PAGE_BYTES
    return processes, resident


def folder_size(folder: Path, most_files: int) -> tuple[int, int]:
    """Files below and the bytes they take on disk (a hole takes none); stops counting beyond `most_files`."""
    files = written = 0
    for path, folders, names in os.walk(folder):
        files += len(folders) + len(names)
        if files > most_files:
            break
        for name in names:
            with contextlib.suppress(OSError):
                written += os.lstat(os.path.join(path, name)).st_blocks * 512
    return files, written


def remove(folder: Path) -> None:
    """The child's folder, with what it locked against deletion. Its group is dead: nobody swaps a link in meanwhile."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            below = os.path.join(path, name)
            if not os.path.islink(below):
                os.chmod(below, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
