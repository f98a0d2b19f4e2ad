"""One's own files on a page: found by name and by text, with the chats that carry them, and deleted for good."""

from pathlib import Path
from uuid import uuid4

import pytest
from django.test import Client

from chatapp.accounts.models import User
from chatapp.answers.services import send_message
from chatapp.files.library import read_library
from tests.chatapp.answers.test_files import PIER, make_file
from tests.file_fixtures import files_below, give
from tests.site_fixtures import signed_in
from uploads.models import Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("endpoint")]


def names(person: User, query: str = "") -> list[str]:
    return [entry.name for entry in read_library(person, query, "").entries]


def test_one_sees_ones_own_files_and_nobody_elses(member: User, outsider: User) -> None:
    make_file(member, "harbour.pdf", PIER)
    make_file(outsider, "secret.pdf", ["The pier is rotten."])
    assert names(member) == ["harbour.pdf"]
    assert names(outsider) == ["secret.pdf"]
    assert names(member, "rotten pier") == ["harbour.pdf"]
    assert names(member, "secret") == []


def test_search_finds_text_with_its_place_and_names_first(member: User) -> None:
    make_file(member, "harbour.pdf", PIER)
    make_file(member, "bell.pdf", ["Nothing is said of it here."])
    library = read_library(member, "bell of bronze", "")
    [entry] = [entry for entry in library.entries if entry.name == "harbour.pdf"]
    assert entry.passage is not None
    assert (entry.passage.words, entry.passage.text) == ("page 2", PIER[1])
    assert names(member, "bell")[0] == "bell.pdf"


def test_page_links_the_chats_that_carry_a_file_and_only_those_one_may_read(member: User, outsider: User) -> None:
    upload = make_file(member, "harbour.pdf", PIER)
    accepted = send_message(member, client_id=uuid4(), text="How long is the pier?", upload_ids=[upload.pk])
    send_message(member, client_id=uuid4(), text="Again", upload_ids=[upload.pk])
    [entry] = read_library(member, "", "").entries
    assert len(entry.uses) == 2
    page = signed_in(member).get("/files").content.decode()
    assert f"/c/{accepted.conversation_id}" in page
    assert "harbour.pdf" not in signed_in(outsider).get("/files").content.decode()
    assert Client().get("/files").status_code == 401


def test_file_is_deleted_from_the_page_and_its_bytes_with_it(member: User, file_store: Path) -> None:
    upload = give(member)
    assert files_below(file_store / "uploads")
    response = signed_in(member).post(f"/files/{upload.pk}/remove", headers={"Sec-Fetch-Mode": "navigate"})
    assert (response.status_code, response.headers["Location"]) == (302, "/files")
    assert not Upload.objects.filter(pk=upload.pk).exists()
    assert not files_below(file_store / "uploads")


def test_outsider_deletes_nothing(member: User, outsider: User, file_store: Path) -> None:
    upload = give(member)
    assert signed_in(outsider).get("/files").status_code == 200
    response = signed_in(outsider).post(f"/files/{upload.pk}/remove", headers={"Sec-Fetch-Mode": "navigate"})
    assert response.status_code == 404
    assert Upload.objects.filter(pk=upload.pk).exists()
