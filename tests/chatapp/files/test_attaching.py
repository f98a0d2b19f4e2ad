"""Files of a message: whose, how many, in which order; all or nothing, and once for each client_id."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.answers.services import Accepted, regenerate, send_message
from chatapp.conversations.models import Conversation, Grant, Message
from chatapp.conversations.selectors import read_item
from chatapp.conversations.tasks import purge_deleted
from chatapp.endpoints.models import Endpoint
from chatapp.errors import Invalid
from chatapp.files.models import Attachment
from chatapp.files.tasks import remove_unsent_files
from tests.file_fixtures import collect, files_below, give, make_collection
from tests.live_site import LiveSite
from tests.uploads.test_services import together
from uploads import services
from uploads.models import Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store", "endpoint")]


def ask(person: User, *uploads: Upload | UUID, **facts: Any) -> Accepted:
    ids = [upload.pk if isinstance(upload, Upload) else upload for upload in uploads]
    fields = {"client_id": uuid4(), "text": "When is high tide?", "upload_ids": ids, **facts}
    return send_message(person, **fields)


def refusal(act: Callable[[], object]) -> dict[str, Any]:
    with pytest.raises(Invalid) as refused:
        act()
    assert refused.value.field == "uploads"
    return refused.value.to_wire()


def carried(accepted: Accepted) -> list[str]:
    return [attachment.name for attachment in Attachment.objects.filter(message=accepted.message_id)]


def test_message_carries_its_files_in_the_order_given_each_once(member: User) -> None:
    first, second = give(member, b"one", "one.txt"), give(member, b"two", "two.txt")
    accepted = ask(member, second, first, second)
    assert carried(accepted) == ["two.txt", "one.txt"]
    item = read_item(member, accepted.conversation_id, accepted.message_id)  # type: ignore[arg-type]
    assert [(file.name, file.id, file.state) for file in item.files] == [
        ("two.txt", str(second.pk), "queued"),
        ("one.txt", str(first.pk), "queued"),
    ]


def test_same_client_id_attaches_nothing_twice(member: User) -> None:
    upload, client_id = give(member), uuid4()
    assert ask(member, upload, client_id=client_id) == ask(member, upload, client_id=client_id)
    assert Attachment.objects.count() == 1


def test_question_whose_files_are_refused_is_not_asked(member: User) -> None:
    upload = give(member)
    missing = uuid4()
    wire = refusal(lambda: ask(member, upload, missing))
    assert (wire["code"], wire["uploads"]) == ("not_found", [str(missing)])
    assert not (Message.objects.exists() or Answer.objects.exists() or Conversation.objects.exists())
    assert carried(ask(member, upload)) == ["tides.txt"]


def test_file_that_is_not_whole_is_named(member: User) -> None:
    unfinished, well = services.begin(member.pk, "slow.pdf", 9), give(member)
    unread = give(member, b"MZ\x90\0" + bytes(range(256)) * 4, "setup.exe")
    wire = refusal(lambda: ask(member, well, unfinished, unread))
    assert wire["code"] == "unfinished"
    assert wire["uploads"] == [str(unfinished.pk), str(unread.pk)]
    assert "slow.pdf, setup.exe" in wire["message"]


def test_more_files_than_a_message_holds_are_refused(member: User, settings: Any) -> None:
    settings.CONFIG = replace(settings.CONFIG, uploads_per_message=2)
    uploads = [give(member, name.encode(), f"{name}.txt") for name in "abc"]
    assert refusal(lambda: ask(member, *uploads))["code"] == "too_many"
    assert len(carried(ask(member, uploads[0], uploads[1], uploads[0]))) == 2


def test_anothers_file_goes_along_only_where_one_may_read_it(member: User, outsider: User) -> None:
    theirs = give(member)
    assert carried(ask(outsider, give(outsider, b"own", "own.txt"))) == ["own.txt"], "the outsider exists"
    assert refusal(lambda: ask(outsider, theirs))["code"] == "not_found"
    shared = ask(member, theirs)
    Grant.objects.create(conversation_id=shared.conversation_id, user=outsider, access="read")
    assert carried(ask(outsider, theirs)) == ["tides.txt"]


def test_edited_question_has_the_files_that_it_names(member: User) -> None:
    first = ask(member, give(member))
    edited = ask(member, conversation_id=first.conversation_id)
    assert carried(first) == ["tides.txt"]
    assert carried(edited) == []


def test_reading_all_is_remembered_and_kept_when_it_is_asked_again(member: User) -> None:
    accepted = ask(member, give(member), read_all=True)
    assert Answer.objects.get(pk=accepted.answer_id).read_all
    again = regenerate(member, client_id=uuid4(), message_id=accepted.reply_id)
    assert Answer.objects.get(pk=again.answer_id).read_all
    assert not Answer.objects.get(pk=ask(member, read_all=True).answer_id).read_all, "there is nothing to read"


def test_removing_a_file_while_it_is_sent_leaves_one_of_both(member: User) -> None:
    for _round in range(8):
        upload = give(member)
        sent, _removed = together(
            lambda upload=upload: ask(member, upload), lambda upload=upload: services.remove(upload)
        )
        if isinstance(sent, Accepted):
            attachment = Attachment.objects.get(message=sent.message_id)
            assert (attachment.upload, attachment.name) == (None, "tides.txt")
        else:
            assert isinstance(sent, Invalid) and sent.code == "not_found", sent


def test_browser_sends_files_over_its_socket(live_site: LiveSite, member: User) -> None:
    upload = give(member)
    with live_site.tab(member) as tab:
        accepted = tab.ask("When is high tide?", uploads=[str(upload.pk)], read_all=False)
        assert accepted["type"] == "accepted"
        assert Attachment.objects.get().message_id == UUID(accepted["message"])
        upload_id = str(uuid4())
        refused = tab.ask("And low tide?", uploads=[upload_id])
        assert (refused["type"], refused["code"], refused["field"]) == ("error", "not_found", "uploads")
        assert refused["uploads"] == [upload_id]


def delete_long_ago(accepted: Accepted) -> None:
    Conversation.objects.filter(pk=accepted.conversation_id).update(deleted_at=timezone.now() - timedelta(days=31))


def test_purged_conversation_takes_its_files_along_and_leaves_those_of_others(member: User, file_store: Path) -> None:
    own, shared = give(member, b"own", "own.txt"), give(member, b"shared", "shared.txt")
    kept = give(member, b"kept", "kept.txt", origin="collection")
    collect(make_collection(member, "Harbour"), kept)
    delete_long_ago(ask(member, own, shared, kept))
    other = ask(member, shared)
    purge_deleted()
    assert set(Upload.objects.values_list("name", flat=True)) == {"shared.txt", "kept.txt"}
    assert carried(other) == ["shared.txt"]
    assert len(files_below(file_store)) == 2


def test_conversation_that_can_still_be_restored_keeps_its_files(member: User) -> None:
    accepted = ask(member, give(member))
    Conversation.objects.filter(pk=accepted.conversation_id).update(deleted_at=timezone.now() - timedelta(days=29))
    purge_deleted()
    remove_unsent_files()
    assert Upload.objects.exists()


def test_files_of_drafts_go_after_a_month_and_sent_ones_stay(member: User) -> None:
    draft, recent = give(member, b"draft", "draft.txt"), give(member, b"recent", "recent.txt")
    sent = give(member, b"sent", "sent.txt")
    collected = give(member, b"collected", "collected.txt", origin="collection")
    collect(make_collection(member, "Harbour"), collected)
    lost = give(member, b"lost", "lost.txt", origin="collection")  # its collection went with another person
    ask(member, sent)
    old = Upload.objects.filter(pk__in=[draft.pk, sent.pk, collected.pk, lost.pk])
    old.update(created_at=timezone.now() - timedelta(days=31))
    remove_unsent_files()
    assert set(Upload.objects.all()) == {recent, sent, collected}


def test_page_tells_the_limits(member: User, endpoint: Endpoint) -> None:
    from tests.site_fixtures import signed_in

    limits = signed_in(member).get("/").context["upload_limits"]
    assert limits == {"max_mb": 200, "max_files": 50}
