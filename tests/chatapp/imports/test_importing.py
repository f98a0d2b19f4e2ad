"""Imports by their worker: counted, once however often, and each fault named with its chat."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now

from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.conversations.models import Conversation
from chatapp.conversations.selectors import listed_conversations, read_thread
from chatapp.errors import Invalid
from chatapp.exports.documents import as_json
from chatapp.finding.indexing import index_waiting
from chatapp.imports import running
from chatapp.imports.models import Import, ImportedChat
from chatapp.imports.tasks import run_import, sweep_imports
from tests.chatapp.imports import exports
from tests.file_fixtures import give
from tests.site_fixtures import signed_in
from uploads.models import Upload

pytestmark = pytest.mark.django_db


def imported(person: User, value: Any, name: str = "conversations.json") -> Import:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    made = running.ask(person, give(person, data, name).pk)
    run_import(str(made.pk))
    return Import.objects.get(pk=made.pk)


def test_every_format_becomes_chats_with_their_branches(member: User, file_store: Path) -> None:
    mixed = [exports.chatgpt(), exports.open_webui(), exports.librechat(recursive=True)]
    made = imported(member, mixed)
    assert (made.state, made.read, made.skipped, made.failed, made.chats.count()) == ("done", 3, 0, 0, 3)
    assert {each.title for each in listed_conversations(member)} == {"Gezeiten", "Low tide", "Depth"}
    tides = Conversation.objects.get(title="Gezeiten")
    assert tides.created_at.year == 2024 and tides.updated_at.year == 2024
    thread = read_thread(member, tides.pk)
    assert [item.message.text for item in thread.items][-1] == "I look it up.\n\nAt **noon**."
    assert len(thread.items[-1].siblings) == 2
    assert thread.items[-1].answer is not None and thread.items[-1].answer.model_name == "gpt-4o"
    assert not Answer.objects.exclude(status="finished").exists()
    assert not Upload.objects.exists(), "the file has done its work"


def test_imported_chat_can_be_read_found_and_asked_on(member: User, file_store: Path) -> None:
    imported(member, [exports.open_webui()])
    chat = Conversation.objects.get()
    client = signed_in(member)
    assert "Quite." in client.get(f"/c/{chat.pk}").content.decode()
    index_waiting()
    assert str(chat.pk) in client.get("/search?q=seven").content.decode()


def test_what_is_there_already_is_not_imported_again(member: User, outsider: User, file_store: Path) -> None:
    imported(member, [exports.chatgpt()])
    again = imported(member, [exports.chatgpt(), exports.open_webui()])
    assert (again.read, again.skipped, again.chats.count()) == (2, 1, 1)
    assert Conversation.objects.filter(owner=member).count() == 2
    imported(outsider, [exports.chatgpt()])
    assert Conversation.objects.filter(owner=outsider).count() == 1, "what others have does not count"


def test_chat_deleted_for_good_may_come_again(member: User, file_store: Path) -> None:
    imported(member, [exports.chatgpt()])
    Conversation.objects.all().delete()
    assert imported(member, [exports.chatgpt()]).chats.count() == 1


def test_faults_are_named_with_their_chat_and_the_rest_is_imported(member: User, file_store: Path) -> None:
    broken = {**exports.chatgpt(), "title": "Broken", "mapping": {}}
    made = imported(member, [broken, {"neither": 1}, exports.open_webui()])
    assert (made.state, made.read, made.failed, made.chats.count()) == ("done", 3, 2, 1)
    assert made.errors == [
        {"item": 1, "title": "Broken", "code": "empty"},
        {"item": 2, "title": "", "code": "unknown_format"},
    ]
    page = signed_in(member).get("/account/imports").content.decode()
    assert "1 imported, 0 were there already, 2 could not be read" in page
    assert "There is nothing said in it." in page and "Broken" in page


def test_file_that_breaks_off_keeps_what_was_read_and_fails(member: User, file_store: Path) -> None:
    data = json.dumps([exports.chatgpt()]).encode()[:-1] + b', {"mapping": {"a'
    made = imported(member, data)
    assert (made.state, made.error_code, made.chats.count()) == ("failed", "not_json", 1)


def test_our_own_export_comes_back_as_it_was(member: User, outsider: User, file_store: Path) -> None:
    imported(member, [exports.open_webui()])
    original = Conversation.objects.get(owner=member)
    imported(outsider, as_json(original).encode())
    copy = Conversation.objects.get(owner=outsider)
    told = [[item.message.text for item in read_thread(each.owner, each.pk).items] for each in (original, copy)]
    assert told[0] == told[1] and len(told[0]) == 4
    assert copy.messages.count() == original.messages.count()


def test_import_of_a_killed_worker_goes_on_and_doubles_nothing(member: User, file_store: Path) -> None:
    upload = give(member, json.dumps([exports.chatgpt(), exports.open_webui()]).encode(), "c.json")
    made = running.ask(member, upload.pk)
    killed = Import.objects.get(pk=made.pk)
    running.store(killed, running.read_chat(exports.chatgpt())[1])
    Import.objects.update(state="running", tries=1, lease_expires_at=Now() - running.LEASE)
    run_import(str(made.pk))
    made.refresh_from_db()
    assert (made.state, made.tries, made.chats.count(), Conversation.objects.count()) == ("done", 2, 2, 2)
    run_import(str(made.pk))
    assert Conversation.objects.count() == 2


def test_import_that_nobody_can_read_fails_after_three_tries(member: User, file_store: Path) -> None:
    made = running.ask(member, give(member, b"[]", "c.json").pk)
    Import.objects.update(state="running", tries=running.MOST_TRIES, lease_expires_at=Now() - running.LEASE)
    sweep_imports()
    made.refresh_from_db()
    assert (made.state, made.error_code) == ("failed", "crashed")


def test_only_ones_own_file_is_imported(member: User, outsider: User, file_store: Path) -> None:
    upload = give(member, b"[]", "c.json")
    with pytest.raises(Invalid):
        running.ask(outsider, upload.pk)
    assert not Import.objects.exists()


def test_small_file_is_taken_without_javascript(member: User, file_store: Path) -> None:
    file = BytesIO(json.dumps([exports.chatgpt()]).encode())
    file.name = "conversations.json"
    response = signed_in(member).post("/account/imports", {"file": file}, headers={"accept": "text/html"})
    assert response.status_code == 302
    run_import(str(Import.objects.get().pk))
    assert ImportedChat.objects.get().conversation.title == "Gezeiten"
