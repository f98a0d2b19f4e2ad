"""The worker of the table, its child and its queue: a file is read, whoever dies meanwhile."""

import os
from pathlib import Path

import pytest
from django.db import connection

from chatapp.accounts.models import User
from ops.services import Services
from tests.crash.waiting import wait_until
from tests.file_fixtures import RealProcess, give, real_environment
from uploads import sweep
from uploads.models import Block, Reading

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]
LONG = b"".join(b"%d. The tide turns twice a day, and never at the same hour.\n\n" % n for n in range(60_000))


@pytest.fixture
def worker(services: Services, file_store: Path) -> RealProcess:
    return RealProcess(real_environment(services, file_store), "worker-parse")


def state() -> str:
    return Reading.objects.get().state


def being_parsed() -> None:
    wait_until("it is being read", lambda: state() == "parsing" and Reading.objects.get().unit, 60, state)


def children_of(process: RealProcess) -> list[int]:
    task = Path(f"/proc/{process.pid}/task")
    return [int(pid) for thread in task.iterdir() for pid in (thread / "children").read_text().split()]


def test_file_goes_through_the_queue_and_comes_out_as_text(worker: RealProcess, member: User) -> None:
    upload = give(member, b"High tide at noon.\n\nLow tide at six.\n")
    with worker:
        wait_until("it is read", lambda: state() == "ready", 60, state)
    assert [block.text for block in Block.objects.order_by("index")] == ["High tide at noon.", "Low tide at six."]
    assert Block.objects.first().place == {"kind": "lines", "first": 1, "last": 1}  # type: ignore[union-attr]
    upload.refresh_from_db()
    assert upload.reading.done == upload.reading.total


def test_killed_worker_takes_its_child_along_and_the_next_reads_the_file_once(
    worker: RealProcess, member: User
) -> None:
    give(member, LONG, "long.txt")
    with worker:
        being_parsed()
        children = children_of(worker)
        assert children
        worker.kill()
    wait_until("the child dies too", lambda: not any(map(is_alive, children)), 10)
    assert state() == "parsing"
    expire()
    with worker:
        sweep.take_over_expired()
        wait_until("it is read", lambda: state() == "ready", 120, state)
    reading = Reading.objects.get()
    assert (reading.tries, reading.fence) == (2, 2)
    assert list(Block.objects.order_by("index").values_list("index", flat=True)) == list(range(Block.objects.count()))
    assert Block.objects.order_by("index").last().text.startswith("59999.")  # type: ignore[union-attr]


def test_worker_that_is_asked_to_stop_gives_its_file_back_at_once(worker: RealProcess, member: User) -> None:
    give(member, LONG, "long.txt")
    with worker:
        being_parsed()
        worker.stop()
        reading = Reading.objects.get()
        assert (reading.state, reading.tries) == ("queued", 0)


def expire() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE uploads_reading SET lease_expires_at = now() - interval '1 second'")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
