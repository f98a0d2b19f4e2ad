"""From parsed to findable, and gone with the file: readings joined to search."""

import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from kombu.exceptions import OperationalError

from chatapp.accounts.models import User
from chatapp.files import indexing
from chatapp.files.tasks import index_missed, index_reading
from search.models import Passage
from search.retrieval import find
from tests.file_fixtures import give
from uploads import sweep
from uploads.models import Reading, Upload
from uploads.parsing import read_claimed
from uploads.readings import claim, requeue
from uploads.services import remove

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]
PARSERS = Path(__file__).parents[2] / "uploads" / "telling_parsers.py"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The tasks that went to the broker: it is real, and nobody works on its queue here."""
    sent: list[tuple[str, str]] = []
    real = indexing.current_app.send_task

    def send(name: str, args: tuple[str, ...] = (), **options: Any) -> Any:
        if name == indexing.INDEX:
            sent.append((name, args[0]))
        return real(name, args, **options)

    monkeypatch.setattr(indexing.current_app, "send_task", send)
    return sent


def read(upload: Upload, parser: str = "three_pages") -> Reading:
    held = claim(upload.reading_id)  # type: ignore[arg-type]
    assert held is not None
    read_claimed(held, f"{PARSERS}:{parser}")
    return Reading.objects.get(pk=upload.reading_id)


def test_text_is_found_as_soon_as_the_file_is_read(member: User, sent: list[tuple[str, str]]) -> None:
    upload = give(member)
    read(upload)
    assert sent[-1] == (indexing.INDEX, str(upload.reading_id))
    index_reading(str(upload.reading_id))
    index_reading(str(upload.reading_id))
    [hit, *_] = find("page 2", [upload.reading_id])
    assert hit.source_id == upload.reading_id and hit.place["kind"] == "page"


def test_removed_file_is_found_no_more_and_one_that_somebody_else_has_is(member: User, outsider: User) -> None:
    mine, theirs = give(member), give(outsider)
    read(mine)
    index_reading(str(mine.reading_id))
    remove(mine)
    assert find("page", [theirs.reading_id])
    remove(theirs)
    assert not Passage.objects.exists()
    index_reading(str(mine.reading_id))
    assert not Passage.objects.exists(), "a task that comes late brings nothing back"


def test_reading_that_is_begun_anew_and_fails_is_found_no_more(member: User) -> None:
    upload = give(member)
    requeue(read(upload, "breaks_off"))
    index_reading(str(upload.reading_id))
    assert not Passage.objects.exists(), "nothing while it is read anew"
    assert read(upload, "second_unreadable").state == "partly"
    index_reading(str(upload.reading_id))
    assert Passage.objects.exists()
    requeue(Reading.objects.get())
    assert read(upload, "locked").state == "failed"
    index_reading(str(upload.reading_id))
    assert not Passage.objects.exists()


def test_removal_waits_for_the_indexing_that_it_meets(member: User) -> None:
    upload = give(member)
    read(upload)
    removing = threading.Thread(target=lambda: (remove(upload), connection.close()))
    with transaction.atomic():
        indexing.index(upload.reading_id)  # type: ignore[arg-type]
        removing.start()
        removing.join(0.5)
        assert removing.is_alive(), "it goes on once the passages are there"
    removing.join(20)
    assert not Passage.objects.exists() and not Reading.objects.exists()


def test_index_is_asked_for_again_when_the_broker_was_away(
    member: User, sent: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = give(member)

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as context:
        context.setattr(indexing.current_app, "send_task", away)
        assert read(upload).announced_at is None
    with connection.cursor() as cursor:
        cursor.execute("UPDATE uploads_reading SET ended_at = now() - interval '1 minute'")
    sent.clear()
    sweep.announce_again()
    assert sent == [(indexing.INDEX, str(upload.reading_id))]


def test_index_that_the_broker_has_lost_is_asked_for_again(member: User, sent: list[tuple[str, str]]) -> None:
    upload = give(member)
    read(upload)
    sent.clear()
    index_missed()
    assert sent == [(indexing.INDEX, str(upload.reading_id))]
    index_reading(str(upload.reading_id))
    sent.clear()
    index_missed()
    assert sent == []
