"""Chips: their states, and retry, cancel, remove; who may do which."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from chatapp.accounts.models import User
from chatapp.conversations.models import Conversation, Grant, Message
from chatapp.files.models import Attachment
from chatapp.files.words import ranges
from tests.file_fixtures import LINE, files_below, give
from tests.site_fixtures import signed_in
from uploads import services
from uploads.models import Reading, Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]


@pytest.fixture
def client(member: User) -> Client:
    return signed_in(member)


@pytest.fixture
def upload(member: User) -> Upload:
    return give(member)  # type: ignore[no-any-return]


def chip(client: Client, upload: Upload, language: str = "en") -> dict[str, Any]:
    [state] = client.get(f"/files/states?ids={upload.pk}", headers={"accept-language": language}).json()
    return dict(state)


def end(upload: Upload, state: str, **facts: Any) -> None:
    """The row as a worker leaves it."""
    from django.db.models.functions import Now

    Reading.objects.filter(pk=upload.reading_id).update(state=state, ended_at=Now(), **facts)


def share(upload: Upload, conversation: Conversation, reader: User) -> Grant:
    """The file travels with a message, and somebody may read the conversation."""
    message = Message.objects.create(conversation=conversation, role="user", text="See the file.")
    Attachment.objects.create(message=message, upload=upload, position=0, name=upload.name)
    return Grant.objects.create(conversation=conversation, user=reader, access="read")


def test_chip_follows_the_file_from_its_first_byte_to_its_text(client: Client, member: User) -> None:
    upload = services.begin(member.pk, "tides.txt", len(LINE))
    assert chip(client, upload) == {
        "id": str(upload.pk),
        "name": "tides.txt",
        "size_bytes": len(LINE),
        "offset": 0,
        "media_type": "",
        "state": "uploading",
        "unit": "",
        "total": 0,
        "done": 0,
        "unreadable": [],
        "reason": "",
        "characters": 0,
    }
    services.append(upload, 0, [LINE])
    assert chip(client, upload)["state"] == "queued"
    Reading.objects.update(state="parsing", unit="page", total=9, done=4)
    parsing = chip(client, upload)
    assert (parsing["state"], parsing["unit"], parsing["done"], parsing["total"]) == ("parsing", "page", 4, 9)
    end(upload, "ready", done=9, characters=1234)
    ready = chip(client, upload)
    assert (ready["state"], ready["characters"], ready["media_type"]) == ("ready", 1234, "text/plain")


def test_states_come_in_the_order_asked_for_and_unknown_ones_are_left_out(client: Client, member: User) -> None:
    first, second = give(member), give(member, b"other", "b.txt")
    ids = f"{second.pk},{'0' * 8}-0000-4000-8000-{'0' * 12},{first.pk}"
    assert [state["id"] for state in client.get(f"/files/states?ids={ids}").json()] == [str(second.pk), str(first.pk)]
    assert client.get("/files/states").json() == []
    assert client.get("/files/states?ids=nonsense").json()["error"]["field"] == "ids"


@pytest.mark.parametrize("language", ["en", "de", "zh-hans"])
@pytest.mark.parametrize(
    "code",
    [
        "encrypted",
        "broken",
        "empty",
        "unsupported",
        "too_large",
        "too_many_pages",
        "bomb",
        "timeout",
        "memory",
        "crashed",
    ],
)
def test_every_fault_has_a_reason_in_the_persons_language(
    client: Client, upload: Upload, code: str, language: str
) -> None:
    end(upload, "failed", code=code)
    reason = chip(client, upload, language)["reason"]
    assert reason and "%(" not in reason
    assert (reason == chip(client, upload, "en")["reason"]) == (language == "en"), "untranslated"


def test_partly_read_file_says_which_pages_are_missing(client: Client, upload: Upload) -> None:
    unreadable = [{"number": n, "code": "timeout"} for n in (3, 7, 8, 9)]
    end(upload, "partly", unit="page", total=10, done=10, unreadable=unreadable)
    assert chip(client, upload)["reason"] == "Pages that could not be read: 3, 7–9."
    assert chip(client, upload)["unreadable"] == unreadable


def test_file_whose_reading_broke_off_says_how_far_it_came(client: Client, upload: Upload) -> None:
    end(upload, "partly", unit="page", total=200, done=12, code="timeout")
    assert chip(client, upload)["reason"] == "Only 12 of 200 pages were read. Reading this file took too long."


def test_ranges_of_numbers() -> None:
    assert ranges([]) == ""
    assert ranges([9, 1, 2, 3, 7, 8]) == "1–3, 7–9"
    assert ranges([5, 5]) == "5"


def test_retry_cancel_and_remove_answer_the_new_state(client: Client, upload: Upload, file_store: Path) -> None:
    url = f"/files/{upload.pk}"
    assert client.post(f"{url}/cancel").json()["state"] == "cancelled"
    assert client.post(f"{url}/retry").json()["state"] == "queued"
    refused = client.post(f"{url}/retry")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_retriable")
    assert client.post(f"{url}/remove").json() == {"ok": True}
    assert client.get(f"/files/states?ids={upload.pk}").json() == []
    assert not files_below(file_store)


def test_cancelled_upload_that_no_longer_fits_is_not_retried(client: Client, member: User, settings: Any) -> None:
    upload = services.begin(member.pk, "big.txt", 60)
    client.post(f"/files/{upload.pk}/cancel")
    settings.UPLOADS = replace(settings.UPLOADS, quota_bytes=100)
    services.begin(member.pk, "other.txt", 60)
    response = client.post(f"/files/{upload.pk}/retry")
    assert (response.status_code, response.json()["error"]["code"]) == (413, "quota")
    assert "100" in response.json()["error"]["message"]


def test_outsider_sees_and_does_nothing_until_a_shared_message_carries_the_file(
    client: Client, upload: Upload, conversation: Conversation, outsider: User
) -> None:
    stranger = signed_in(outsider)
    assert chip(stranger, give(outsider, b"mine", "mine.txt"))["state"] == "queued", "the outsider exists"
    assert stranger.get(f"/files/states?ids={upload.pk}").json() == []
    assert stranger.get(f"/files/{upload.pk}/content").status_code == 404
    grant = share(upload, conversation, outsider)
    assert chip(stranger, upload)["state"] == "queued"
    assert stranger.head(f"/files/{upload.pk}/content").status_code == 200
    for act in ("retry", "cancel", "remove"):
        assert stranger.post(f"/files/{upload.pk}/{act}").status_code == 404
    grant.delete()
    assert stranger.get(f"/files/states?ids={upload.pk}").json() == []
    assert stranger.head(f"/files/{upload.pk}/content").status_code == 404
    assert chip(client, upload)["state"] == "queued"


def test_deleted_conversation_shares_its_files_no_more(
    upload: Upload, conversation: Conversation, outsider: User
) -> None:
    share(upload, conversation, outsider)
    stranger = signed_in(outsider)
    assert stranger.head(f"/files/{upload.pk}/content").status_code == 200
    conversation.deleted_at = conversation.created_at
    conversation.save()
    assert stranger.head(f"/files/{upload.pk}/content").status_code == 404


def test_removed_file_leaves_its_name_in_the_message(
    upload: Upload, conversation: Conversation, outsider: User, client: Client
) -> None:
    share(upload, conversation, outsider)
    client.post(f"/files/{upload.pk}/remove")
    attachment = Attachment.objects.get()
    assert (attachment.upload, attachment.name) == (None, "tides.txt")
