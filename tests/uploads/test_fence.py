"""The fence holds whatever its child does: every test here starts a real process that misbehaves."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from uploads.document import Block, Event, Limits, Progress, Source, Started, Unparsable, Unreadable
from uploads.fence import FenceLimits, ReadingCancelled, compute_file, never, read_file, tell_confinement
from uploads.wire import Confined

PARSERS = Path(__file__).parent / "bad_parsers.py"
MEGABYTE = 1024**2
LIMITS = FenceLimits(
    seconds=20.0,
    cpu_seconds=20,
    memory_bytes=256 * MEGABYTE,
    file_bytes=16 * MEGABYTE,
    scratch_bytes=64 * MEGABYTE,
    scratch_files=500,
    processes=16,
    line_bytes=MEGABYTE,
    output_bytes=8 * MEGABYTE,
)


@pytest.fixture(autouse=True)
def scratch_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every child's folder is below this one, and none is left."""
    folder = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "file.txt"
    path.write_text("one\ntwo\n")
    return Source(path, "text/plain", "file.txt", Limits())


def read(source: Source, parser: str, limits: FenceLimits = LIMITS) -> tuple[list[Event], str]:
    """Everything it gave, and the fault it ended with, or ''."""
    events: list[Event] = []
    try:
        for event in read_file(source, limits, parser=f"{PARSERS}:{parser}"):
            events.append(event)
    except Unparsable as error:
        return events, error.fault
    return events, ""


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Block)]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pid: int) -> bool:
    for _ in range(100):
        if not is_alive(pid):
            return True
        time.sleep(0.02)
    return False


def attempts(source: Source, *names: str) -> dict[str, str]:
    source.path.write_text(" ".join(names))
    events, fault = read(source, "refused")
    assert fault == ""
    return dict(text.split(" ", 1) for text in texts(events))


def test_events_arrive_as_the_parser_gave_them(source: Source) -> None:
    events, fault = read(source, "reads_well")
    assert fault == ""
    assert events == [
        Started("line", 2),
        Block("text", "one", {"kind": "lines", "first": 1, "last": 1}, ("Top", "Below")),
        Progress(1),
        Block("text", "two", {"kind": "lines", "first": 2, "last": 2}, ("Top", "Below")),
        Progress(2),
        Unreadable(3, "broken"),
    ]


def test_what_libraries_print_is_not_taken_for_events(source: Source) -> None:
    assert read(source, "prints") == ([Block("text", "quiet", {"kind": "lines", "first": 1, "last": 1})], "")


def test_the_child_knows_nothing_of_the_workers_surroundings(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    events, fault = read(source, "says_how_it_runs")
    assert fault == ""
    environment, cwd, niceness, leads, descriptors = texts(events)
    assert "secret" not in environment and f"HOME={cwd}" in environment
    assert int(niceness) >= 10 and leads == "True"
    assert descriptors.split()[:4] == ["0", "1", "2", "3"] and len(descriptors.split()) == 5  # the fifth lists them


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def test_no_connection_is_opened_by_any_road(source: Source, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        listener.accept()[0].close()  # the listener does hear
    roads = ("connect", "connect_from_a_program", "connect_by_path", "datagram", "listen", "io_uring")
    tried = attempts(replace(source, name=f"127.0.0.1:{port}"), *roads)
    assert set(tried) == set(roads)
    assert all(answer.startswith("refused") for answer in tried.values()), tried
    with pytest.raises(BlockingIOError):
        listener.accept()


OUT_OF_REACH = """
    ptrace unshare leave_the_group signal_the_worker signal_everyone environment_of_the_worker raise_limits
""".split()


def test_other_processes_are_out_of_reach(source: Source) -> None:
    signalled = []
    previous = signal.signal(signal.SIGUSR1, lambda *_: signalled.append(True))
    try:
        tried = attempts(source, *OUT_OF_REACH)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert set(tried) == set(OUT_OF_REACH)
    assert all(answer.startswith("refused") for answer in tried.values()), tried
    assert signalled == []


def test_only_its_own_folder_can_be_written_and_only_its_file_read(source: Source) -> None:
    (source.path.parent / "beside.txt").write_text("secret")
    outside = "read_beside list_the_folder write_the_file write_beside write_tmp read_settings read_etc".split()
    inside = "write_here start_a_program".split()
    bounded = "write_a_big_file write_a_sparse_file".split()
    tried = attempts(source, *outside, *inside, *bounded)
    assert all(tried[name].startswith("refused") for name in outside + bounded), tried
    assert all(tried[name] == "went through" for name in inside), tried
    assert sorted(path.name for path in source.path.parent.iterdir()) == ["beside.txt", "file.txt"]


@pytest.mark.parametrize(
    "parser", ["eats_memory", "eats_memory_in_many", "wraps_a_memory_error", "lacks_memory_as_rust_does"]
)
def test_too_much_memory_ends_as_memory_and_keeps_what_was_read(source: Source, parser: str) -> None:
    events, fault = read(source, parser)
    assert texts(events) == ["before"] and fault == "memory"


def test_memory_eaten_bit_by_bit_ends_as_memory(source: Source) -> None:
    events, fault = read(source, "eats_memory_slowly")
    assert fault == "memory" and 50 < len(events) < 256


@pytest.mark.parametrize(
    "parser",
    ["is_killed", "reads_address_nought", "aborts", "exits", "exits_politely", "raises", "holds_the_pipe_and_dies"],
)
def test_a_child_that_dies_is_said_to_have_crashed_and_what_it_read_stays(source: Source, parser: str) -> None:
    began = time.monotonic()
    events, fault = read(source, parser)
    assert texts(events) == ["before"] and fault == "crashed"
    assert time.monotonic() - began < LIMITS.seconds / 2


def test_memory_of_the_worker_is_not_taken_for_that_of_its_child(source: Source) -> None:
    held = bytearray(LIMITS.memory_bytes)
    held[::4096] = b"x" * len(held[::4096])
    assert read(source, "is_killed")[1] == "crashed"
    assert len(held) == LIMITS.memory_bytes


def test_an_exceptions_own_words_stay_out_of_the_log(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    read(source, "raises")
    read(source, "lacks_memory_as_rust_does")
    assert "bad_parsers.py:" in caplog.text and "ValueError" in caplog.text
    assert "secret" not in caplog.text and "file.txt" not in caplog.text


def test_a_fault_of_the_file_is_passed_on(source: Source) -> None:
    assert read(source, "gives_up") == ([Started("page", 1)], "encrypted")


@pytest.mark.parametrize(
    "parser", ["sleeps", "ignores_every_signal", "loops", "closes_the_pipe", "complains_without_end"]
)
def test_the_deadline_ends_it(source: Source, parser: str) -> None:
    began = time.monotonic()
    events, fault = read(source, parser, replace(LIMITS, seconds=1.5))
    assert len(texts(events)) == 1 and fault == "timeout"
    assert time.monotonic() - began < 5


def test_processor_time_is_bounded_as_well(source: Source) -> None:
    assert read(source, "loops", replace(LIMITS, cpu_seconds=1))[1] == "timeout"


@pytest.mark.parametrize(
    "lie",
    [
        "no json",
        "[]",
        "null",
        '{"is":"unknown"}',
        '{"is":["block"]}',
        '{"is":"progress","done":-1}',
        '{"is":"progress","done":true}',
        '{"is":"progress","done":99999999999}',
        '{"is":"progress","done":1,"more":1}',
        '{"is":"block","kind":"text","text":"a\\u0000b","place":{"kind":"lines","first":1,"last":1},"headings":[]}',
        '{"is":"block","kind":"text","text":"\\ud800","place":{"kind":"lines","first":1,"last":1},"headings":[]}',
        '{"is":"block","kind":"text","text":"a","place":{"kind":"page","page":1,"boxes":[[0,0,2,1]]},"headings":[]}',
        '{"is":"block","kind":"text","text":"a","place":{"kind":"cells","sheet":"a","range":"=A1"},"headings":[]}',
        '{"is":"block","kind":"text","text":"a","place":{"kind":["page"]},"headings":[]}',
        '{"is":"block","kind":"script","text":"a","place":{"kind":"paragraph","paragraph":1},"headings":[]}',
        '{"is":"failed","fault":"crashed","where":"the text of the file, slipped into the log"}',
        '{"is":"started","unit":"page","total":NaN}',
        "[" * 50_000,
    ],
)
def test_a_child_that_lies_is_not_believed(source: Source, lie: str) -> None:
    events, fault = read(replace(source, name=lie), "talks_nonsense")
    assert texts(events) == ["before"] and fault == "crashed"


def test_endless_output_is_cut(source: Source) -> None:
    events, fault = read(source, "floods")
    assert texts(events) == ["before"] and fault == "crashed"
    events, fault = read(source, "never_stops")
    assert fault == "crashed" and len(events) > 1000
    fewer = replace(source, limits=Limits(max_characters=50_000))
    events, fault = read(fewer, "never_stops")
    assert fault == "too_large" and len(events) == 50


def test_a_fork_bomb_is_bounded_and_nothing_of_it_is_left(source: Source) -> None:
    before = set(os.listdir("/proc"))
    events, fault = read(source, "forks_for_ever", replace(LIMITS, seconds=3.0))
    assert texts(events) == ["before"] and fault in ("crashed", "timeout")
    ours = [pid for pid in set(os.listdir("/proc")) - before if pid.isdigit() and b"child.py" in command(pid)]
    assert all(gone(int(pid)) for pid in ours)


def command(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("parser", ["writes_many_files", "fills_the_disk"])
def test_the_disk_is_not_filled(source: Source, parser: str) -> None:
    events, fault = read(source, parser)
    assert texts(events) == ["before"] and fault == "bomb"


def test_a_locked_folder_is_removed_all_the_same(source: Source) -> None:
    events, fault = read(source, "locks_its_folder")
    assert fault == "" and not Path(texts(events)[0]).exists() and Path("/etc/passwd").exists()


def test_programs_left_behind_by_a_good_child_are_ended(source: Source) -> None:
    events, fault = read(source, "leaves_a_child")
    assert fault == "" and gone(int(texts(events)[0]))


def test_closing_the_iterator_ends_the_child(source: Source) -> None:
    reading = read_file(source, LIMITS, parser=f"{PARSERS}:ignores_every_signal")
    first = next(reading)
    assert isinstance(first, Block) and is_alive(int(first.text))
    reading.close()
    assert gone(int(first.text))


def test_a_cancelled_reading_ends_at_once(source: Source) -> None:
    is_wanted = [True]
    reading = read_file(source, LIMITS, is_cancelled=lambda: not is_wanted, parser=f"{PARSERS}:sleeps")
    first = next(reading)
    assert isinstance(first, Block) and is_alive(int(first.text))
    is_wanted.clear()
    began = time.monotonic()
    with pytest.raises(ReadingCancelled):
        next(reading)
    assert time.monotonic() - began < 2 and gone(int(first.text))


def test_a_child_does_not_outlive_its_worker(source: Source, scratch_of_its_own: Path) -> None:
    program = (
        "from pathlib import Path; from uploads.document import *; from uploads.fence import *; import sys\n"
        "source = Source(Path(sys.argv[1]), 'text/plain', 'file.txt', Limits())\n"
        "for event in read_file(source, parser=sys.argv[2]): print(event.text, flush=True)\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program, str(source.path), f"{PARSERS}:ignores_every_signal"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TMPDIR": str(source.path.parent)},
    )
    assert worker.stdout is not None
    with worker:
        pid = int(worker.stdout.readline())
        assert is_alive(pid)
        worker.kill()
        worker.wait()
    assert gone(pid)


def test_what_is_missing_is_said_aloud_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    tell_confinement.cache_clear()
    for _ in range(2):
        tell_confinement(Confined(network=(), files=()))
    tell_confinement(Confined(network=("seccomp",), files=("landlock",)))
    tell_confinement.cache_clear()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4 and "network" in said[0] and "Landlock" in said[1]
    assert said[3] == "parsers are confined by seccomp, landlock"


def test_nobody_is_cancelled_by_default() -> None:
    assert not never()


def test_an_answer_to_no_query_is_not_taken_for_an_event(source: Source) -> None:
    assert read(source, "answers_unasked") == ([], "crashed")


def test_a_computation_without_an_answer_is_a_crash(source: Source) -> None:
    with pytest.raises(Unparsable) as raised:
        compute_file(source, "", LIMITS, parser=f"{PARSERS}:reads_well")
    assert raised.value.fault == "crashed"
