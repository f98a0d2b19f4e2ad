"""A reading from its claim to its one end, with real children behind the real fence."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from chatapp.accounts.models import User
from tests.crash.waiting import wait_until
from tests.file_fixtures import give
from uploads import parsing, readings, storage, sweep
from uploads.models import Block, Reading, Upload
from uploads.parsing import LOOKED_EVERY_S, read_claimed
from uploads.readings import MAX_TRIES, Claim, claim
from uploads.services import cancel, remove, retry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]
PARSERS = Path(__file__).parent / "telling_parsers.py"


@pytest.fixture
def upload(member: User) -> Upload:
    return give(member)  # type: ignore[no-any-return]


def claimed(upload: Upload) -> Claim:
    held = claim(upload.reading_id)  # type: ignore[arg-type]
    assert held is not None
    return held


def read(upload: Upload, parser: str) -> Reading:
    read_claimed(claimed(upload), f"{PARSERS}:{parser}")
    return Reading.objects.get()


@contextmanager
def being_read(upload: Upload, parser: str) -> Iterator[threading.Thread]:
    """A worker's thread reads it meanwhile, and has saved something when the block begins."""
    held = claimed(upload)

    def work() -> None:
        try:
            read_claimed(held, f"{PARSERS}:{parser}")
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        wait_until("its first page is saved", lambda: Block.objects.exists(), 20)
        yield worker
    finally:
        parsing.stopping.set()
        worker.join(20)
        parsing.stopping.clear()
        assert not worker.is_alive()


def expire(upload: Upload) -> None:
    """As a dead worker's lease does after a while."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE uploads_reading SET lease_expires_at = now() - interval '1 second' WHERE id = %s",
            [upload.reading_id],
        )


def facts(reading: Reading) -> tuple[str, str, str, int, int]:
    return reading.state, reading.code, reading.unit, reading.done, reading.total


def test_whole_file_is_ready_with_its_blocks_in_order(upload: Upload) -> None:
    reading = read(upload, "three_pages")
    assert facts(reading) == ("ready", "", "page", 3, 3)
    assert reading.characters == 3 * len("Page 1.")
    blocks = list(Block.objects.order_by("index"))
    assert [block.text for block in blocks] == ["Page 1.", "Page 2.", "Page 3."]
    assert (blocks[1].place, blocks[1].headings) == ({"kind": "page", "page": 2, "boxes": [[0, 0, 1, 1]]}, ["Top"])
    assert reading.ended_at and reading.announced_at and reading.lease_expires_at is None


def test_file_with_an_unreadable_page_is_partly_read(upload: Upload) -> None:
    reading = read(upload, "second_unreadable")
    assert facts(reading) == ("partly", "", "page", 3, 3)
    assert reading.unreadable == [{"number": 2, "code": "timeout"}]
    assert Block.objects.count() == 2


def test_file_of_which_nothing_could_be_read_has_failed(upload: Upload) -> None:
    reading = read(upload, "none_readable")
    assert (reading.state, reading.code) == ("failed", "timeout")


def test_fault_after_some_pages_keeps_them(upload: Upload) -> None:
    assert facts(read(upload, "breaks_off")) == ("partly", "memory", "page", 1, 9)
    assert Block.objects.get().text == "Page 1."


def test_fault_before_any_text_fails_with_its_code(upload: Upload) -> None:
    reading = read(upload, "locked")
    assert (reading.state, reading.code) == ("failed", "encrypted")


def test_text_that_a_database_cannot_hold_has_been_mended(upload: Upload) -> None:
    assert read(upload, "unstorable").state == "ready"
    block = Block.objects.get()
    assert (block.text, block.headings, block.place["sheet"]) == ("a\ufffdb\ufffdc", ["h\ufffd"], "x\ufffd")


def test_many_blocks_come_in_batches_and_none_is_lost(upload: Upload) -> None:
    assert read(upload, "many_blocks").state == "ready"
    assert list(Block.objects.order_by("index").values_list("index", flat=True)) == list(range(3000))


def test_bytes_that_are_gone_end_the_reading(upload: Upload) -> None:
    storage.drop(upload.blob_id)  # type: ignore[arg-type]
    reading = read(upload, "three_pages")
    assert (reading.state, reading.code) == ("failed", "broken")


def test_progress_is_told_while_it_is_read(upload: Upload) -> None:
    with being_read(upload, "slow"):
        first = Reading.objects.get()
        assert (first.state, first.unit, first.total) == ("parsing", "page", 300)
        wait_until("progress grows", lambda: Reading.objects.get().done > first.done, 10)


def test_only_one_of_two_workers_gets_it(upload: Upload) -> None:
    held = claimed(upload)
    assert claim(upload.reading_id) is None  # type: ignore[arg-type]
    read_claimed(held, f"{PARSERS}:three_pages")
    assert claim(upload.reading_id) is None, "ended is ended"  # type: ignore[arg-type]


@pytest.mark.parametrize("parser", ["slow", "silent"])
def test_cancel_ends_the_reading_at_once_and_its_child_soon(upload: Upload, parser: str) -> None:
    with being_read(upload, parser) as worker:
        cancel(upload)
        assert Reading.objects.get().state == "cancelled"
        began = time.monotonic()
        worker.join(20)
        assert not worker.is_alive()
        assert time.monotonic() - began < LOOKED_EVERY_S + 5
    assert Reading.objects.get().state == "cancelled"


@pytest.mark.parametrize("parser", ["slow", "silent"])
def test_removing_while_it_is_read_leaves_nothing(upload: Upload, parser: str) -> None:
    with being_read(upload, parser) as worker:
        remove(upload)
        worker.join(20)
        assert not worker.is_alive()
    assert not Reading.objects.exists() and not Block.objects.exists()


def test_retry_after_a_cancel_does_not_meet_the_old_worker(upload: Upload) -> None:
    with being_read(upload, "silent") as worker:
        cancel(upload)
        retry(upload)
        assert read(upload, "three_pages").state == "ready"
        worker.join(20)
    assert facts(Reading.objects.get()) == ("ready", "", "page", 3, 3)
    assert Block.objects.count() == 3


def test_reading_whose_worker_died_is_read_again_from_the_start(upload: Upload) -> None:
    held = claimed(upload)
    place = {"kind": "lines", "first": 1, "last": 1}
    dead = [Block(reading_id=upload.reading_id, index=0, kind="text", text="of the dead", place=place)]
    assert readings.save(held, dead, readings.Advance("page", 9, 1, 11, []))
    sweep.take_over_expired()
    assert Reading.objects.get().state == "parsing", "its lease holds"
    expire(upload)
    sweep.take_over_expired()
    assert Reading.objects.get().sent_at is not None
    assert read(upload, "three_pages").state == "ready"
    assert "of the dead" not in Block.objects.values_list("text", flat=True)
    assert not readings.save(held, [], readings.Advance("page", 9, 2, 0, [])), "the dead one may not write again"
    assert readings.end(held, "", [], readings.Advance("page", 9, 9, 0, [])) is None


@pytest.mark.parametrize(("has_text", "state"), [(False, "failed"), (True, "partly")])
def test_file_that_took_two_workers_with_it_gets_no_third(upload: Upload, has_text: bool, state: str) -> None:
    for _try in range(MAX_TRIES):
        held = claimed(upload)
        if has_text:
            place = {"kind": "lines", "first": 1, "last": 1}
            block = Block(reading_id=upload.reading_id, index=0, kind="text", text="some", place=place)
            assert readings.save(held, [block], readings.Advance("page", 9, 1, 4, []))
        expire(upload)
        sweep.take_over_expired()
    assert claim(upload.reading_id) is None  # type: ignore[arg-type]
    reading = Reading.objects.get()
    assert (reading.state, reading.code) == (state, "crashed")
    assert reading.announced_at is not None


def test_worker_that_is_asked_to_stop_gives_the_file_back(upload: Upload) -> None:
    with being_read(upload, "silent") as worker:
        parsing.stopping.set()
        worker.join(20)
        assert not worker.is_alive()
        reading = Reading.objects.get()
        assert (reading.state, reading.tries) == ("queued", 0)
        parsing.stopping.clear()
        assert read(upload, "three_pages").state == "ready"


def test_queued_reading_that_was_never_sent_is_sent_by_the_sweep(upload: Upload) -> None:
    Reading.objects.update(sent_at=None)
    sweep.send_waiting()
    assert Reading.objects.get().sent_at is None, "whoever has just committed is about to send it"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE uploads_reading SET created_at = now() - interval '1 minute'")
    sweep.send_waiting()
    assert Reading.objects.get().sent_at is not None
