"""Uploading by tus 1.0, as its clients speak it: announcing, chunks, going on after a loss, ending, refusals."""

import base64
import hashlib
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from chatapp.accounts.models import User
from chatapp.files import tus
from tests.file_fixtures import LINE, make_collection
from tests.site_fixtures import signed_in
from uploads.models import Upload
from uploads.partial import Partial
from uploads.selectors import open_bytes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]
TUS = {"tus-resumable": "1.0.0"}


@pytest.fixture
def client(member: User) -> Client:
    return signed_in(member)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def announce(client: Client, size: int = len(LINE), name: str = "tides.txt", **headers: str) -> HttpResponse:
    metadata = f"filename {encoded(name)},filetype {encoded('text/plain')}"
    fields = {**TUS, "upload-length": str(size), "upload-metadata": metadata, **headers}
    response: HttpResponse = client.generic("POST", "/files/uploads", headers=fields)  # type: ignore[assignment]
    return response


def patch(client: Client, url: str, offset: int, data: bytes, **headers: str) -> HttpResponse:
    fields = {**TUS, "upload-offset": str(offset), **headers}
    response: HttpResponse = client.generic(  # type: ignore[assignment]
        "PATCH", url, data, content_type=tus.CHUNK_TYPE, headers=fields
    )
    return response


def head(client: Client, url: str) -> Any:
    return client.generic("HEAD", url, headers=TUS)


def error_code(response: HttpResponse) -> str:
    code: str = response.json()["error"]["code"]  # type: ignore[attr-defined]
    return code


def test_file_comes_in_chunks_and_each_answer_says_where_to_go_on(client: Client, member: User) -> None:
    begun = announce(client)
    url = begun.headers["Location"]
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "0")
    first = patch(client, url, 0, LINE[:7])
    assert (first.status_code, first.headers["Upload-Offset"], first.headers["Tus-Resumable"]) == (204, "7", "1.0.0")
    assert "Upload-Expires" in first.headers
    looked = head(client, url)
    assert (looked.status_code, looked.headers["Upload-Offset"], looked.headers["Upload-Length"]) == (
        200,
        "7",
        str(len(LINE)),
    )
    assert looked.headers["Cache-Control"] == "no-store"
    last = patch(client, url, 7, LINE[7:])
    assert last.headers["Upload-Offset"] == str(len(LINE)) and "Upload-Expires" not in last.headers
    upload = Upload.objects.get()
    assert (upload.owner, upload.name, upload.state) == (member, "tides.txt", "whole")
    assert open_bytes(upload).read() == LINE


def test_announcement_may_bring_the_whole_file(client: Client) -> None:
    fields = {**TUS, "upload-length": str(len(LINE)), "upload-metadata": f"filename {encoded('表.txt')}"}
    response = client.generic("POST", "/files/uploads", LINE, content_type=tus.CHUNK_TYPE, headers=fields)
    assert (response.status_code, response.headers["Upload-Offset"]) == (201, str(len(LINE)))
    assert Upload.objects.get().name == "表.txt"


def test_metadata_may_have_spaces_after_its_commas(client: Client, member: User) -> None:
    collection = make_collection(member, "Tides")
    metadata = f"filename {encoded('a.txt')}, collection {encoded(str(collection.pk))}"
    response = client.post("/files/uploads", headers={**TUS, "upload-length": "4", "upload-metadata": metadata})
    assert response.status_code == 201
    assert Upload.objects.get().collected.get().collection == collection


def test_what_we_can_do_is_told(client: Client) -> None:
    response = client.options("/files/uploads")
    assert response.status_code == 204
    assert response.headers["Tus-Version"] == "1.0.0"
    assert response.headers["Tus-Max-Size"] == str(200 * 1024**2)
    assert set(response.headers["Tus-Extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "termination",
        "checksum",
        "expiration",
    }


def test_another_version_of_tus_is_refused(client: Client) -> None:
    url = announce(client).headers["Location"]
    response = client.generic("HEAD", url, headers={"tus-resumable": "0.2.2"})
    assert (response.status_code, response.headers["Tus-Version"]) == (412, "1.0.0")


def test_wrong_offset_conflicts_and_the_right_one_is_asked_for(client: Client) -> None:
    url = announce(client).headers["Location"]
    patch(client, url, 0, LINE[:7])
    again = patch(client, url, 0, LINE[:7])
    assert (again.status_code, error_code(again)) == (409, "offset")
    assert head(client, url).headers["Upload-Offset"] == "7"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_damaged_chunk_is_refused_and_none_of_it_kept(client: Client, algorithm: str) -> None:
    url = announce(client).headers["Location"]
    digest = base64.b64encode(hashlib.new(algorithm, LINE).digest()).decode()
    damaged = patch(client, url, 0, LINE[:-1] + b"?", **{"upload-checksum": f"{algorithm} {digest}"})
    assert (damaged.status_code, error_code(damaged)) == (460, "checksum")
    assert head(client, url).headers["Upload-Offset"] == "0"
    assert patch(client, url, 0, LINE, **{"upload-checksum": f"{algorithm} {digest}"}).status_code == 204


def test_upload_can_be_ended_and_is_gone(client: Client) -> None:
    url = announce(client).headers["Location"]
    patch(client, url, 0, LINE[:7])
    assert client.generic("DELETE", url, headers=TUS).status_code == 204
    assert head(client, url).status_code == 404
    assert not Upload.objects.exists()


def test_methods_may_travel_inside_a_post(client: Client) -> None:
    url = announce(client).headers["Location"]
    fields = {**TUS, "upload-offset": "0", "x-http-method-override": "PATCH"}
    response = client.generic("POST", url, LINE, content_type=tus.CHUNK_TYPE, headers=fields)
    assert response.status_code == 204


def test_going_on_after_a_crash_begins_where_the_bytes_end(client: Client) -> None:
    url = announce(client).headers["Location"]
    patch(client, url, 0, LINE[:7])
    Partial(Upload.objects.get().pk).append(7, [LINE[7:9]], 99)  # the row has not heard of these
    assert head(client, url).headers["Upload-Offset"] == "9"
    assert patch(client, url, 9, LINE[9:]).status_code == 204


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"upload-length": ""}, "Upload-Length"),
        ({"upload-length": "-1"}, "Upload-Length"),
        ({"upload-length": "1e3"}, "Upload-Length"),
        ({"upload-length": "9" * 40}, "Upload-Length"),
        ({"upload-metadata": "filename !!!"}, "Upload-Metadata"),
        ({"upload-metadata": f"filename {base64.b64encode(bytes([255])).decode()}"}, "Upload-Metadata"),
        ({"upload-metadata": f"filename {encoded('a')},collection {encoded('elsewhere')}"}, "Upload-Metadata"),
    ],
)
def test_header_that_cannot_be_read_is_named(client: Client, headers: dict[str, str], field: str) -> None:
    response = announce(client, **headers)
    assert (response.status_code, response.json()["error"]["field"]) == (400, field)  # type: ignore[attr-defined]
    assert response.headers["Tus-Resumable"] == "1.0.0"


@pytest.mark.parametrize(
    ("size", "name", "status", "code"),
    [
        (0, "a.txt", 400, "empty"),
        (201 * 1024**2, "a.pdf", 413, "too_large"),
        (10, "..", 400, "name"),
    ],
)
@pytest.mark.parametrize("language", ["en", "de", "zh-hans"])
def test_refusal_has_a_code_and_words_in_the_persons_language(
    client: Client, size: int, name: str, status: int, code: str, language: str
) -> None:
    response = announce(client, size, name, **{"accept-language": language})
    assert (response.status_code, error_code(response)) == (status, code)
    message = response.json()["error"]["message"]  # type: ignore[attr-defined]
    assert message and "%(" not in message


def test_chunk_of_another_kind_is_refused(client: Client) -> None:
    url = announce(client).headers["Location"]
    response = client.generic("PATCH", url, LINE, content_type="text/plain", headers={**TUS, "upload-offset": "0"})
    assert response.status_code == 400


def test_outsider_who_may_upload_may_not_touch_anothers_upload(client: Client, outsider: User) -> None:
    url = announce(client).headers["Location"]
    stranger = signed_in(outsider)
    own = announce(stranger).headers["Location"]
    assert head(stranger, own).status_code == 200, "the outsider exists, and may upload"
    assert head(stranger, url).status_code == 404
    assert patch(stranger, url, 0, LINE).status_code == 404
    assert stranger.generic("DELETE", url, headers=TUS).status_code == 404
    assert patch(client, url, 0, LINE).status_code == 204


def test_nobody_uploads_without_a_session(client: Client) -> None:
    assert announce(client).status_code == 201
    assert announce(Client()).status_code == 401


def test_writes_need_the_token_of_our_pages(member: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(member)
    assert announce(client).status_code == 403
    client.get("/")
    token = client.cookies["csrftoken"].value
    url = announce(client, **{"x-csrftoken": token}).headers["Location"]
    assert patch(client, url, 0, LINE).status_code == 403
    assert patch(client, url, 0, LINE, **{"x-csrftoken": token}).status_code == 204
