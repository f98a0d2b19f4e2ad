"""Every file of the hostile corpus ends in a state that is right for it, and touches nothing on its way.

Two are read at a time, as two workers would; each test then looks at one of them.
"""

import os
import resource
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.uploads.hostile import CORPUS, SECRET, Bait, Hostile
from tests.uploads.hostile.corpus import PARTLY, READ, REFUSED
from uploads.document import Block, Limits, Source, Unparsable, Unreadable
from uploads.fence import FenceLimits, read_file
from uploads.sniffing import sniff

pytestmark = pytest.mark.timeout(900)  # the first test waits for all files: a minute on two quiet cores

MEGABYTE = 1024**2
LIMITS = Limits(
    max_pages=200, max_unpacked_bytes=64 * MEGABYTE, max_pixels=20_000_000, max_characters=2_000_000, page_seconds=30.0
)
FENCE = FenceLimits(
    seconds=60.0,
    cpu_seconds=5,  # what ends the endless ones, however busy the machine is
    memory_bytes=1024 * MEGABYTE,
    file_bytes=64 * MEGABYTE,
    scratch_bytes=128 * MEGABYTE,
)
LATE_S = 5.0  # what a busy machine adds to a deadline


@dataclass(frozen=True, slots=True)
class Outcome:
    state: str
    text: str
    seconds: float


class Listener:
    """Counts whoever connects."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/bait"
        self.num_connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.num_connections += 1

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Run:
    outcomes: dict[str, Outcome]
    listener: Listener
    peak_bytes: int
    secret: Path
    scratch: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder, scratch = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("scratch")
    secret = folder / "secret.txt"
    secret.write_text(SECRET)
    listener = Listener()
    bait = Bait(listener.url, secret)
    previous, tempfile.tempdir = tempfile.tempdir, str(scratch)
    before = peak_of_children()
    try:
        with ThreadPoolExecutor(2) as pool:
            # Each in a folder with a number for a name, under the name it was uploaded by.
            places = [folder / str(number) for number in range(len(CORPUS))]
            ends = pool.map(lambda file, place: outcome_of(file, place, bait), CORPUS.values(), places)
            outcomes = dict(zip(CORPUS, ends, strict=True))
        peak = peak_of_children()
        yield Run(outcomes, listener, peak if peak > before else 0, secret, scratch)
    finally:
        tempfile.tempdir = previous
        listener.close()


def peak_of_children() -> int:
    """Of the largest one so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def outcome_of(file: Hostile, path: Path, bait: Bait) -> Outcome:
    path.write_bytes(file.make(bait))
    began = time.monotonic()
    media_type = sniff(path, file.name)
    if media_type is None:
        return Outcome(REFUSED, "", time.monotonic() - began)
    texts, state = [], READ
    try:
        for event in read_file(Source(path, media_type, file.name, LIMITS), FENCE):
            if isinstance(event, Block):
                texts += [*event.headings, event.text]
            elif isinstance(event, Unreadable):
                state = PARTLY
    except Unparsable as error:
        state = error.fault
    return Outcome(state, "\n".join(texts), time.monotonic() - began)


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 40


@pytest.mark.parametrize("name", CORPUS, ids=lambda name: ascii(name[:40]))
def test_it_ends_in_a_state_that_is_right_for_it(run: Run, name: str) -> None:
    outcome = run.outcomes[name]
    assert outcome.state in CORPUS[name].ends
    assert outcome.seconds < FENCE.seconds + LATE_S
    assert SECRET not in outcome.text
    assert len(outcome.text) <= 2 * LIMITS.max_characters


def test_nobody_was_called(run: Run) -> None:
    assert run.listener.num_connections == 0
    with socket.create_connection(("127.0.0.1", int(run.listener.url.split(":")[2].split("/")[0])), timeout=5):
        pass
    for _ in range(100):
        if run.listener.num_connections == 1:
            return
        time.sleep(0.05)
    pytest.fail("the listener does not hear")


def test_no_child_grew_beyond_its_limit(run: Run) -> None:
    assert run.peak_bytes <= FENCE.memory_bytes


def test_nothing_was_written_outside_and_nothing_is_left(run: Run) -> None:
    assert list(run.scratch.iterdir()) == []
    beside = {path.name for path in run.secret.parent.iterdir()}
    assert beside == {"secret.txt", *map(str, range(len(CORPUS)))} and run.secret.read_text() == SECRET
    for folder in ("/", "/tmp", "/etc", "/etc/cron.d", os.getcwd(), os.path.expanduser("~")):
        assert not os.path.lexists(os.path.join(folder, "escaped.txt"))
