"""An upload from its announcement to its removal: limits, offsets, the same bytes again, crashes between two steps."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from chatapp.accounts.models import User
from tests.file_fixtures import LINE, files_below, give
from uploads import readings, services, storage, sweep
from uploads.errors import Refused
from uploads.models import Blob, Block, Reading, ReadingState, Upload
from uploads.partial import Partial
from uploads.selectors import blocks_of, open_bytes, used_bytes
from uploads.services import append, begin, cancel, clean_name, remove, retry, settle
from uploads.signals import reading_ended, readings_removed, uploads_removed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        act()
    return refused.value.code


def together(*acts: Callable[[], object]) -> list[object]:
    """What each gave or raised, all begun at the same moment, each on a connection of its own."""
    barrier = threading.Barrier(len(acts))
    results: list[object] = [None] * len(acts)

    def run(index: int) -> None:
        try:
            barrier.wait(10)
            results[index] = acts[index]()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_file_arrives_in_pieces_and_is_stored_under_its_hash(member: User, file_store: Path) -> None:
    upload = begin(member.pk, "tides.txt", len(LINE))
    assert append(upload, 0, [LINE[:5]]) == 5
    assert append(upload, 5, [LINE[5:9], LINE[9:]]) == len(LINE)
    upload.refresh_from_db()
    assert upload.state == Upload.State.WHOLE and upload.blob and upload.reading
    assert files_below(file_store) == [file_store / "uploads" / storage.key_of(upload.blob.sha256)]
    assert open_bytes(upload).read() == LINE
    assert (upload.reading.state, upload.reading.media_type) == ("queued", "text/plain")


@pytest.mark.parametrize(
    ("name", "size", "code"),
    [("a.txt", 0, "empty"), ("a.txt", 201 * 1024**2, "too_large"), ("", 1, "name"), ("../", 1, "name")],
)
def test_unusable_announcement_is_refused_and_leaves_no_row(member: User, name: str, size: int, code: str) -> None:
    assert refusal(lambda: begin(member.pk, name, size)) == code
    assert not Upload.objects.exists()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\olga\\plan.docx", "plan.docx"),
        (" Tide\ntable\0.pdf ", "Tidetable.pdf"),
        ("表.xlsx", "表.xlsx"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
def test_name_is_the_last_part_of_a_path_and_fits(given: str, kept: str) -> None:
    assert clean_name(given) == kept


def test_quota_counts_the_same_bytes_once_and_what_is_announced(member: User, outsider: User, settings: Any) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, quota_bytes=100)
    give(member, b"a" * 60)
    give(member, b"a" * 40, "other.txt")
    assert used_bytes(member.pk) == 100
    assert refusal(lambda: begin(member.pk, "more.txt", 1)) == "quota"
    begin(outsider.pk, "theirs.txt", 100)
    remove(Upload.objects.get(name="other.txt"))
    begin(member.pk, "more.txt", 40)
    assert refusal(lambda: begin(member.pk, "more.txt", 1)) == "quota"


def test_two_announcements_at_once_do_not_pass_the_quota_together(member: User, settings: Any) -> None:
    settings.UPLOADS = replace(settings.UPLOADS, quota_bytes=100)
    results = together(*[lambda: begin(member.pk, "a.txt", 60)] * 4)
    assert sum(isinstance(result, Upload) for result in results) == 1
    assert {result.code for result in results if isinstance(result, Refused)} == {"quota"}


def test_too_many_unfinished_ones_are_refused_until_one_is_done(member: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MAX_RECEIVING", 2)
    first = begin(member.pk, "a.txt", len(LINE))
    begin(member.pk, "b.txt", 5)
    assert refusal(lambda: begin(member.pk, "c.txt", 5)) == "too_many"
    append(first, 0, [LINE])
    begin(member.pk, "c.txt", 5)


def test_same_bytes_again_cost_no_second_blob_and_no_second_reading(
    member: User, outsider: User, file_store: Path
) -> None:
    first = give(member)
    end_reading(first.reading)
    again, theirs = give(member, name="copy.txt"), give(outsider)
    assert again.reading == theirs.reading == first.reading
    assert again.reading.state == ReadingState.READY
    assert len(files_below(file_store)) == Blob.objects.count() == Reading.objects.count() == 1


def test_same_bytes_under_a_name_that_makes_another_type_are_read_apart_but_stored_once(member: User) -> None:
    data = b"town,tide\nHull,6.1\n"
    text, table = give(member, data, "a.txt"), give(member, data, "a.csv")
    assert (text.reading.media_type, table.reading.media_type) == ("text/plain", "text/csv")
    assert text.blob == table.blob


def test_same_bytes_from_many_at_once_become_one_blob(member: User, outsider: User, file_store: Path) -> None:
    uploads = [begin(person.pk, "tides.txt", len(LINE)) for person in (member, outsider) * 4]
    results = together(*[lambda upload=upload: append(upload, 0, [LINE]) for upload in uploads])
    assert results == [len(LINE)] * 8
    assert set(Upload.objects.values_list("state", flat=True)) == {"whole"}
    assert len(files_below(file_store)) == Blob.objects.count() == Reading.objects.count() == 1


def test_wrong_offset_is_told_the_right_one(member: User) -> None:
    upload = begin(member.pk, "tides.txt", 10)
    append(upload, 0, [b"12345"])
    with pytest.raises(Refused) as refused:
        append(upload, 3, [b"45"])
    assert (refused.value.code, refused.value.params) == ("offset", {"offset": 5})


def test_more_bytes_than_announced_are_refused_and_none_of_them_kept(member: User) -> None:
    upload = begin(member.pk, "tides.txt", 10)
    assert refusal(lambda: append(upload, 0, [b"1234567890", b"1"])) == "too_large"
    assert settle(upload) == Partial(upload.pk).length() == 0


def test_two_writers_at_one_offset_leave_one_chunk(member: User) -> None:
    upload = begin(member.pk, "tides.txt", 100)
    rows = [Upload.objects.get(pk=upload.pk) for _ in range(4)]
    results = together(*[lambda row=row: append(row, 0, [b"12345"]) for row in rows])
    assert results.count(5) == 1
    assert {r.code for r in results if isinstance(r, Refused)} <= {"busy", "offset"}
    assert settle(upload) == 5


def test_after_a_crash_the_length_of_the_file_is_the_truth(member: User) -> None:
    upload = begin(member.pk, "tides.txt", 100)
    append(upload, 0, [b"12345"])
    Partial(upload.pk).append(5, [b"678"], 95)  # on disk, and then the process died
    assert settle(Upload.objects.get(pk=upload.pk)) == 8
    Partial(upload.pk).drop()
    assert settle(Upload.objects.get(pk=upload.pk)) == 0
    assert Upload.objects.get(pk=upload.pk).offset == 0


def test_crash_after_the_last_byte_is_finished_by_the_sweep(member: User) -> None:
    upload = begin(member.pk, "tides.txt", len(LINE))
    Partial(upload.pk).append(0, [LINE], len(LINE))
    make_old(upload)
    sweep.finish_received()
    upload.refresh_from_db()
    assert upload.state == "whole" and open_bytes(upload).read() == LINE


def test_crash_between_storing_and_its_row_is_finished_too(member: User, file_store: Path) -> None:
    upload = begin(member.pk, "tides.txt", len(LINE))
    Partial(upload.pk).append(0, [LINE], len(LINE))
    storage.keep(Partial(upload.pk).sha256(), Partial(upload.pk).path)
    make_old(upload)
    sweep.finish_received()
    upload.refresh_from_db()
    assert upload.state == "whole" and len(files_below(file_store)) == 1


def test_bytes_that_a_crash_cut_short_in_storage_are_written_again(member: User, file_store: Path) -> None:
    upload = give(member)
    path = file_store / "uploads" / storage.key_of(upload.blob.sha256)
    path.write_bytes(LINE[:3])
    assert open_bytes(give(member, name="again.txt")).read() == LINE


def test_type_that_is_not_read_is_refused_and_its_bytes_dropped(member: User, file_store: Path) -> None:
    upload = give(member, b"MZ\x90\0" + bytes(range(256)) * 4, "setup.txt")
    assert (upload.state, upload.refusal) == ("refused", "unsupported")
    assert not files_below(file_store)
    assert refusal(lambda: retry(upload)) == "not_retriable"
    assert refusal(lambda: append(upload, 0, [b"1"])) == "ended"


def test_cancelled_upload_drops_its_bytes_and_begins_again_when_retried(member: User, file_store: Path) -> None:
    upload = begin(member.pk, "tides.txt", len(LINE))
    append(upload, 0, [LINE[:5]])
    cancel(upload)
    cancel(upload)
    assert not files_below(file_store)
    assert refusal(lambda: append(Upload.objects.get(pk=upload.pk), 5, [LINE[5:]])) == "ended"
    retry(upload)
    again = Upload.objects.get(pk=upload.pk)
    assert settle(again) == 0
    append(again, 0, [LINE])
    again.refresh_from_db()
    assert again.state == "whole"


def test_cancelling_while_the_last_bytes_arrive_ends_in_one_of_both(member: User, file_store: Path) -> None:
    for _round in range(10):
        upload = begin(member.pk, "tides.txt", len(LINE))
        row = Upload.objects.get(pk=upload.pk)
        together(lambda row=row: append(row, 0, [LINE]), lambda upload=upload: cancel(upload))
        upload.refresh_from_db()
        state = (upload.state, upload.cancelled_at is not None)
        assert state in {("receiving", True), ("whole", True), ("whole", False)}, state
        remove(upload)
    assert not files_below(file_store) and not Blob.objects.exists()


def test_reading_that_somebody_else_waits_for_outlives_a_cancel(member: User, outsider: User) -> None:
    mine, theirs = give(member), give(outsider)
    cancel(mine)
    assert Reading.objects.get().state == "queued"
    cancel(theirs)
    assert Reading.objects.get().state == "cancelled"
    assert give(member, name="again.txt").reading.state == "queued", "new bytes of the same content want it read"


def test_cancel_after_the_end_changes_nothing(member: User) -> None:
    upload = give(member)
    end_reading(upload.reading)
    cancel(upload)
    upload.refresh_from_db()
    assert upload.cancelled_at is None
    assert Reading.objects.get().state == "ready"


@pytest.mark.parametrize("state", ["failed", "partly", "cancelled"])
def test_retry_reads_again_and_forgets_how_it_ended(member: User, state: str) -> None:
    upload = give(member)
    if state == "cancelled":
        cancel(upload)
    else:
        end_reading(upload.reading, code="timeout", texts=["some"] if state == "partly" else [])
    assert Reading.objects.get().state == state
    retry(upload)
    reading = Reading.objects.get()
    assert (reading.state, reading.code, reading.tries, reading.ended_at) == ("queued", "", 0, None)
    upload.refresh_from_db()
    assert upload.cancelled_at is None


def test_retry_of_what_is_well_is_refused(member: User) -> None:
    upload = give(member)
    assert refusal(lambda: retry(upload)) == "not_retriable"
    end_reading(upload.reading)
    assert refusal(lambda: retry(upload)) == "not_retriable"


def test_remove_takes_everything_with_it_and_the_file_may_come_again(member: User, file_store: Path) -> None:
    upload = give(member)
    end_reading(upload.reading, texts=["noon"])
    heard: list[object] = []

    def hear(**facts: Any) -> None:
        heard.extend(facts.get("reading_ids") or facts["upload_ids"])

    readings_removed.connect(hear)
    uploads_removed.connect(hear)
    try:
        remove(upload)
        remove(upload)
    finally:
        readings_removed.disconnect(hear)
        uploads_removed.disconnect(hear)
    assert heard == [upload.pk, upload.reading_id]
    assert not files_below(file_store)
    assert not (Upload.objects.exists() or Blob.objects.exists() or Reading.objects.exists() or Block.objects.exists())
    assert give(member).reading.state == "queued"


def test_removal_leaves_what_somebody_else_has_of_the_same_bytes(member: User, outsider: User) -> None:
    mine, theirs = give(member), give(outsider)
    end_reading(mine.reading, texts=["noon"])
    remove(mine)
    assert open_bytes(theirs).read() == LINE
    assert [block.text for block in blocks_of(theirs.reading_id)] == ["noon"]


def test_unfinished_upload_is_removed_with_its_bytes(member: User, file_store: Path) -> None:
    upload = begin(member.pk, "tides.txt", 100)
    append(upload, 0, [b"12345"])
    remove(upload)
    assert not files_below(file_store)
    assert refusal(lambda: append(upload, 5, [b"6"])) == "ended"
    assert not files_below(file_store)


def test_removing_while_the_same_bytes_arrive_never_loses_them(member: User, outsider: User, file_store: Path) -> None:
    for round in range(10):
        old = give(member)
        new = begin(outsider.pk, "tides.txt", len(LINE))
        together(lambda old=old: remove(old), lambda new=new: append(new, 0, [LINE]))
        new.refresh_from_db()
        assert open_bytes(new).read() == LINE, f"round {round}"
        remove(new)
        assert not files_below(file_store) and not Blob.objects.exists()


def test_removing_while_the_last_bytes_arrive_leaves_nothing(member: User, file_store: Path) -> None:
    for _round in range(10):
        upload = begin(member.pk, "tides.txt", len(LINE))
        row = Upload.objects.get(pk=upload.pk)
        results = together(lambda row=row: append(row, 0, [LINE]), lambda upload=upload: remove(upload))
        assert results[1] is None
        assert not Upload.objects.exists() and not Blob.objects.exists() and not files_below(file_store)


def make_old(upload: Upload) -> None:
    """As if it had been touched two days ago."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE uploads_upload SET active_at = now() - interval '2 days' WHERE id = %s", [upload.pk])


def end_reading(reading: Reading, code: str = "", texts: list[str] | None = None) -> None:
    """As a worker would."""
    claim = readings.claim(reading.pk)
    assert claim is not None
    texts = ["noon"] if texts is None else texts
    place = {"kind": "lines", "first": 1, "last": 1}
    blocks = [
        Block(reading=reading, index=index, kind="text", text=text, place=place) for index, text in enumerate(texts)
    ]
    assert readings.end(claim, code, blocks, readings.Advance("line", 1, 1, 4, [])) is not None


def test_unfinished_uploads_expire_and_others_stay(member: User, file_store: Path) -> None:
    old, fresh, whole = begin(member.pk, "old.txt", 9), begin(member.pk, "new.txt", 9), give(member)
    append(old, 0, [b"12345"])
    make_old(old)
    make_old(whole)
    sweep.remove_unfinished()
    assert set(Upload.objects.values_list("pk", flat=True)) == {fresh.pk, whole.pk}
    assert len(files_below(file_store)) == 1


def test_orphans_of_every_kind_are_found_and_nothing_else_is_touched(
    member: User, outsider: User, file_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    kept = give(member)
    theirs = give(outsider, b"of somebody who has left", "left.txt")
    lost = give(member, b"whose bytes are gone", "lost.txt")
    outsider.delete()
    storage.drop(lost.blob_id)
    stray = file_store / "uploads" / storage.key_of("ab" * 32)
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"without a row")
    unfinished = begin(member.pk, "slow.txt", 9)
    append(unfinished, 0, [b"123"])
    forgotten = file_store / "uploads-partial" / str(uuid4())
    forgotten.write_bytes(b"12")
    for path in (forgotten, Partial(unfinished.pk).path):
        make_file_old(path)
    sweep.remove_orphans()
    sweep.remove_orphans()
    assert set(Blob.objects.values_list("pk", flat=True)) == {kept.blob_id, lost.blob_id}
    assert not Reading.objects.filter(pk=theirs.reading_id).exists()
    assert files_below(file_store) == sorted(
        [file_store / "uploads" / storage.key_of(kept.blob_id), Partial(unfinished.pk).path]
    )
    told = [record.message for record in caplog.records if record.message.startswith("orphans")]
    assert told == [
        "orphans: unused rows=1 bytes without rows=1 rows without bytes=1 unfinished files=1",
        "orphans: unused rows=0 bytes without rows=0 rows without bytes=1 unfinished files=0",
    ]


def make_file_old(path: Path) -> None:
    import os

    os.utime(path, (1, 1))


def test_end_of_a_reading_is_told_after_its_commit_and_again_until_every_listener_has_heard(member: User) -> None:
    from kombu.exceptions import OperationalError

    upload = give(member)
    heard: list[tuple[str, int]] = []
    is_away = True

    def hear(*, reading_id: Any, state: str, **_facts: object) -> None:
        if is_away:
            raise OperationalError("the broker is away")
        heard.append((state, Reading.objects.filter(pk=reading_id, state=state).count()))

    reading_ended.connect(hear)
    try:
        end_reading(upload.reading)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE uploads_reading SET ended_at = now() - interval '1 hour'")
        sweep.announce_again()
        assert heard == []
        is_away = False
        sweep.announce_again()
        sweep.announce_again()
    finally:
        reading_ended.disconnect(hear)
    assert heard == [("ready", 1)]
