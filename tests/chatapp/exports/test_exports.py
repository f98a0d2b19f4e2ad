"""Chats as files, and all that a person owns as an archive: what is in them, and that they end exactly once."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.core.files.storage import storages
from django.db.models.functions import Now
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.conversations import temporary
from chatapp.conversations.models import Conversation, Message
from chatapp.exports import archives
from chatapp.exports.models import Archive
from chatapp.exports.tasks import make_archive, remove_expired_archives, sweep_archives
from chatapp.people import belongings
from tests.file_fixtures import files_below, give
from tests.site_fixtures import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(conversation: Conversation) -> Conversation:
    """A question with two answers; the older one is shown, as it was chosen."""
    Conversation.objects.filter(pk=conversation.pk).update(title="Tides: 潮汐/../المد")
    question = conversation.messages.create(role="user", text="Wann ist Flut? 什么时候涨潮？ متى المد؟")
    shown = conversation.messages.create(role="assistant", parent=question, text="At **noon**.")
    conversation.messages.create(role="assistant", parent=question, text="At one.")
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=shown)
    return Conversation.objects.get(pk=conversation.pk)


def fetch(person: User, conversation: Conversation, format: str) -> tuple[str, str]:
    response = signed_in(person).get(f"/c/{conversation.pk}/export?format={format}")
    assert response.status_code == 200
    return response.content.decode(), response.headers["Content-Disposition"]


def names(data: bytes) -> list[str]:
    return ZipFile(BytesIO(data)).namelist()


def downloaded(person: User, archive: Archive) -> bytes:
    response = signed_in(person).get(f"/account/archives/{archive.pk}")
    assert response.status_code == 200
    return b"".join(response.streaming_content)  # type: ignore[attr-defined]


def test_markdown_has_the_shown_branch(member: User, told: Conversation) -> None:
    text, disposition = fetch(member, told, "markdown")
    assert text.startswith("# Tides: 潮汐/../المد\n\n## Question\n\nWann ist Flut?")
    assert "At **noon**." in text and "At one." not in text
    assert "attachment" in disposition and "/" not in disposition.split("''")[1]


def test_json_has_every_branch_in_its_tree(member: User, told: Conversation) -> None:
    wire = json.loads(fetch(member, told, "json")[0])
    assert (wire["format"], wire["version"], wire["title"]) == ("sonde-chat", 1, "Tides: 潮汐/../المد")
    question, *answers = wire["messages"]
    assert [each["text"] for each in answers] == ["At **noon**.", "At one."]
    assert {each["parent"] for each in answers} == {question["id"]}
    assert wire["active_leaf"] == answers[0]["id"]


def test_an_unknown_format_is_refused(member: User, told: Conversation) -> None:
    assert signed_in(member).get(f"/c/{told.pk}/export?format=docx").status_code == 400


def test_archive_has_all_that_one_owns_and_nothing_else(
    member: User, outsider: User, told: Conversation, file_store: Path
) -> None:
    upload = give(member, b"High at noon.\n", "tides.txt")
    give(outsider, b"Nobody else's.\n", "outside.txt")
    theirs = Conversation.objects.create(owner=outsider, title="Theirs")
    theirs.grants.create(user=member, access="write")
    temporary.begin(member)
    Conversation.objects.create(owner=member, title="Deleted", deleted_at=timezone.now())
    archive = archives.ask(member)
    make_archive(str(archive.pk))
    archive.refresh_from_db()
    assert (archive.state, archive.done, archive.total) == ("ready", 2, 2)
    data = downloaded(member, archive)
    stem = f"chats/Tides 潮汐 .. المد {str(told.pk)[:8]}"
    assert sorted(names(data)) == sorted(
        [
            "owner.json",
            "collections.json",
            "folders.json",
            "presets.json",
            f"{stem}.md",
            f"{stem}.json",
            f"files/{str(upload.pk)[:8]} tides.txt",
        ]
    )
    assert ZipFile(BytesIO(data)).read(f"files/{str(upload.pk)[:8]} tides.txt") == b"High at noon.\n"


def test_only_one_archive_is_made_at_a_time(member: User, file_store: Path) -> None:
    first = archives.ask(member)
    assert archives.ask(member).pk == first.pk
    make_archive(str(first.pk))
    assert archives.ask(member).pk != first.pk


def test_archive_of_a_killed_worker_is_made_by_the_next(member: User, told: Conversation, file_store: Path) -> None:
    archive = archives.ask(member)
    killed = archives.claim(archive.pk)
    assert killed is not None and archives.claim(archive.pk) is None, "its lease holds"
    Archive.objects.update(lease_expires_at=Now() - archives.LEASE)
    make_archive(str(archive.pk))
    archive.refresh_from_db()
    assert (archive.state, archive.tries) == ("ready", 2)
    with pytest.raises(archives.Lost):
        archives.progress(killed, 1, 2)


def test_archive_that_nobody_can_make_fails_after_three_tries(member: User, file_store: Path) -> None:
    archive = archives.ask(member)
    for _ in range(archives.MOST_TRIES):
        assert archives.claim(archive.pk) is not None
        Archive.objects.update(lease_expires_at=Now() - archives.LEASE)
    assert archives.claim(archive.pk) is None
    sweep_archives()
    archive.refresh_from_db()
    assert archive.state == "failed"


def test_full_disk_fails_the_archive_and_leaves_nothing(
    member: User, told: Conversation, file_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chatapp.exports.tasks.pack", full)
    archive = archives.ask(member)
    make_archive(str(archive.pk))
    archive.refresh_from_db()
    assert archive.state == "failed" and files_below(file_store) == []


def test_expired_archive_is_gone_with_its_bytes(
    member: User, file_store: Path, django_capture_on_commit_callbacks: Any
) -> None:
    archive = archives.ask(member)
    make_archive(str(archive.pk))
    remove_expired_archives()
    assert storages["exports"].exists(archive.key)
    Archive.objects.update(expires_at=Now())
    with django_capture_on_commit_callbacks(execute=True):
        remove_expired_archives()
    assert not Archive.objects.exists() and not storages["exports"].exists(archive.key)


def test_archives_go_with_the_person(
    member: User, outsider: User, file_store: Path, django_capture_on_commit_callbacks: Any
) -> None:
    archive = archives.ask(member)
    make_archive(str(archive.pk))
    with django_capture_on_commit_callbacks(execute=True):
        belongings.hand_over(member, outsider)
    assert not Archive.objects.exists() and not storages["exports"].exists(archive.key)


def test_page_says_how_far_it_is_and_asks_again(member: User, file_store: Path) -> None:
    archive = archives.ask(member)
    claimed = archives.claim(archive.pk)
    assert claimed is not None
    archives.progress(claimed, 3, 7)
    response = signed_in(member).get("/account/archives")
    assert "3 of 7 chats and files" in response.content.decode()
    assert response.headers["Refresh"] == "2"
    assert signed_in(member).get(f"/account/archives/{archive.pk}").status_code == 404, "it is not ready"


def test_message_of_a_hostile_name_makes_no_path(member: User, file_store: Path) -> None:
    Conversation.objects.create(owner=member, title="../../etc/passwd")
    archive = archives.ask(member)
    make_archive(str(archive.pk))
    assert all(".." not in Path(name).parts for name in names(downloaded(member, archive)))
    assert Message.objects.count() == 0
