"""A computation from its asking to its one end, with a real child behind the real fence."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now

from chatapp.accounts.models import User
from tests.crash.waiting import wait_until
from tests.file_fixtures import give
from tests.uploads.computing.workbooks import write_sales
from uploads import computations, parsing
from uploads.computations import GONE, LATE
from uploads.computing.answer import Refusal, Result, Tables
from uploads.models import Computation, Upload
from uploads.services import remove
from uploads.tasks import compute

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]
FOREVER = "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r"


@pytest.fixture
def upload(member: User, tmp_path: Path) -> Upload:
    write_sales(tmp_path / "sales.xlsx")
    return give(member, (tmp_path / "sales.xlsx").read_bytes(), "sales.xlsx")  # type: ignore[no-any-return]


def begin(upload: Upload, sql: str) -> UUID:
    assert upload.reading_id is not None
    return computations.begin_query(upload.reading_id, sql)


@contextmanager
def being_computed(upload: Upload) -> Iterator[tuple[UUID, threading.Thread]]:
    """A worker's thread is at it when the block begins, and has let go of it soon after it ends."""
    computation_id = begin(upload, FOREVER)

    def work() -> None:
        try:
            compute(str(computation_id))
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    wait_until("it is claimed", lambda: computations.is_running(computation_id), 20)
    try:
        yield computation_id, worker
    finally:
        worker.join(20)
        parsing.stopping.clear()
        assert not worker.is_alive()


def make_overdue(**row: object) -> None:
    Computation.objects.filter(**row).update(deadline=Now() - timedelta(seconds=1))


def test_a_query_is_answered_once_however_often_it_is_delivered(upload: Upload) -> None:
    computation_id = begin(upload, "SELECT sum(pieces) FROM sales_2024 WHERE region = 'North'")
    assert computations.outcome(computation_id) is None
    compute(str(computation_id))
    first = Computation.objects.get()
    compute(str(computation_id))
    assert Computation.objects.get().ended_at == first.ended_at and first.state == "done"
    answer = computations.outcome(computation_id)
    assert isinstance(answer, Result) and answer.rows == ((18,),)


def test_a_refused_query_has_been_answered_too(upload: Upload) -> None:
    computation_id = begin(upload, "DROP TABLE people")
    compute(str(computation_id))
    answer = computations.outcome(computation_id)
    assert isinstance(answer, Refusal) and answer.code == "not_allowed"
    assert Computation.objects.get().state == "done"


def test_what_the_tables_are_is_asked_once_for_a_file(upload: Upload) -> None:
    assert upload.reading_id is not None
    first = computations.begin_tables(upload.reading_id)
    assert computations.begin_tables(upload.reading_id) == first, "somebody is at it already"
    compute(str(first))
    assert isinstance(computations.outcome(first), Tables)
    assert computations.begin_tables(upload.reading_id) == first
    Computation.objects.update(answer="")
    Computation.objects.update(state="cancelled")
    assert computations.begin_tables(upload.reading_id) != first


def test_a_cancelled_query_ends_at_once_and_its_child_soon(upload: Upload) -> None:
    with being_computed(upload) as (computation_id, worker):
        began = time.monotonic()
        assert computations.cancel(computation_id)
        assert not computations.cancel(computation_id)
        worker.join(20)
        assert time.monotonic() - began < 8, "its query would have had ten seconds"
    assert Computation.objects.get().state == "cancelled"


def test_a_worker_that_stops_leaves_the_query_to_the_next(upload: Upload) -> None:
    with being_computed(upload) as (computation_id, worker):
        parsing.stopping.set()
        worker.join(20)
    row = Computation.objects.get(pk=computation_id)
    assert (row.state, row.started_at) == ("queued", None)
    Computation.objects.update(sql="SELECT 1")
    compute(str(computation_id))
    assert isinstance(computations.outcome(row.pk), Result)


def test_one_whose_worker_is_dead_or_never_comes_is_late_and_stays_so(upload: Upload) -> None:
    for state in ("queued", "running"):
        computation_id = begin(upload, "SELECT 1")
        Computation.objects.filter(pk=computation_id).update(state=state)
        assert computations.outcome(computation_id) is None
        make_overdue(pk=computation_id)
        assert computations.outcome(computation_id) == LATE
        compute(str(computation_id))
        assert Computation.objects.get(pk=computation_id).state == "failed"
        assert computations.outcome(computation_id) == LATE


def test_what_nobody_waits_for_is_ended_and_in_the_end_removed(upload: Upload) -> None:
    waiting, tables = begin(upload, "SELECT 1"), computations.begin_tables(upload.reading_id)  # type: ignore[arg-type]
    compute(str(tables))
    Computation.objects.filter(pk=waiting).update(deadline=Now() - timedelta(minutes=10))
    computations.expire()
    assert Computation.objects.get(pk=waiting).state == "failed"
    assert computations.remove_old() == 0
    Computation.objects.update(ended_at=Now() - timedelta(days=2))
    assert computations.remove_old() == 1
    assert [row.pk for row in Computation.objects.all()] == [tables]


def test_a_removed_file_takes_its_computations_with_it(upload: Upload) -> None:
    computation_id = begin(upload, "SELECT 1")
    compute(str(computation_id))
    remove(upload)
    assert not Computation.objects.exists()
    assert computations.outcome(computation_id) == GONE
