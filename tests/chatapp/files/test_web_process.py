"""Uploads against the web process as it really runs: what it holds in memory, and what `kill -9` leaves."""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from chatapp.accounts.models import User
from chatapp.bodies import MAX_BODY
from ops.services import Services
from tests.file_fixtures import Web, real_environment
from tests.site_fixtures import signed_in
from uploads.models import Upload
from uploads.partial import Partial
from uploads.selectors import open_bytes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]
MIB = 1024 * 1024


@pytest.fixture
def web(services: Services, file_store: Path) -> Web:
    return Web(real_environment(services, file_store))


@contextmanager
def browser(web: Web, person: User) -> Iterator[httpx.Client]:
    cookie = signed_in(person).cookies[settings.SESSION_COOKIE_NAME].value
    with httpx.Client(base_url=web.url, cookies={settings.SESSION_COOKIE_NAME: cookie}, timeout=60) as client:
        client.get("/").raise_for_status()
        client.headers.update({"x-csrftoken": client.cookies["csrftoken"], "tus-resumable": "1.0.0"})
        yield client


def announce(client: httpx.Client, size: int) -> str:
    metadata = f"filename {base64.b64encode(b'large.txt').decode()}"
    headers = {"upload-length": str(size), "upload-metadata": metadata}
    location: str = client.post("/files/uploads", headers=headers).raise_for_status().headers["location"]
    return location


def patch(client: httpx.Client, url: str, offset: int, data: bytes) -> httpx.Response:
    headers = {"upload-offset": str(offset), "content-type": "application/offset+octet-stream"}
    return client.patch(url, content=data, headers=headers)


def test_200_megabytes_go_through_in_less_than_50_of_memory(web: Web, member: User) -> None:
    chunk = (b"high tide\n" * 1_000_000)[:MAX_BODY]
    size = 200 * MIB
    with web, browser(web, member) as client:
        patch(client, announce(client, 9), 0, b"warm up.\n").raise_for_status()
        before = web.peak_bytes()
        url = announce(client, size)
        for offset in range(0, size, len(chunk)):
            patch(client, url, offset, chunk).raise_for_status()
        after_upload = web.peak_bytes()
        received = 0
        with client.stream("GET", f"/files/{url.rpartition('/')[2]}/content") as response:
            for piece in response.iter_raw():
                received += len(piece)
        after_download = web.peak_bytes()
    assert Upload.objects.get(size_bytes=size).state == "whole"
    assert received == size
    print(f"web +{(after_upload - before) / MIB:.1f} MiB up, +{(after_download - before) / MIB:.1f} MiB down")
    assert after_download - before < 50 * MIB


def test_upload_goes_on_after_the_web_process_was_killed(web: Web, member: User) -> None:
    data = os.urandom(3 * MIB).hex().encode()
    with web, browser(web, member) as client:
        url = announce(client, len(data))
        patch(client, url, 0, data[: 2 * MIB]).raise_for_status()
        web.kill()
    with web, browser(web, member) as client:
        offset = int(client.head(url).raise_for_status().headers["upload-offset"])
        assert offset == 2 * MIB, "what was told to be safe is there"
        patch(client, url, offset, data[offset:]).raise_for_status()
    assert open_bytes(Upload.objects.get()).read() == data


def test_web_process_killed_in_the_middle_of_a_chunk_loses_at_most_this_chunk(web: Web, member: User) -> None:
    data = os.urandom(3 * MIB).hex().encode()

    def stopping() -> Iterator[bytes]:
        yield data[2 * MIB : 3 * MIB]
        web.kill()
        yield data[3 * MIB :]

    with web, browser(web, member) as client:
        url = announce(client, len(data))
        patch(client, url, 0, data[: 2 * MIB]).raise_for_status()
        headers = {"upload-offset": str(2 * MIB), "content-type": "application/offset+octet-stream"}
        with pytest.raises(httpx.HTTPError):
            client.patch(url, content=stopping(), headers=headers)
    with web, browser(web, member) as client:
        offset = int(client.head(url).raise_for_status().headers["upload-offset"])
        assert offset >= 2 * MIB
        patch(client, url, offset, data[offset:]).raise_for_status()
    upload = Upload.objects.get()
    assert open_bytes(upload).read() == data
    assert not Partial(upload.pk).path.exists()


@pytest.mark.parametrize("is_announced", [True, False])
def test_body_of_any_size_is_refused_before_it_is_stored(web: Web, member: User, is_announced: bool) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(9):
            yield bytes(MIB)

    with web, browser(web, member) as client:
        url = announce(client, 20 * MIB)
        headers = {"upload-offset": "0", "content-type": "application/offset+octet-stream", "accept-language": "de"}
        content = bytes(MAX_BODY + 1) if is_announced else pieces()
        response = client.patch(url, content=content, headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")
        assert client.head(url).headers["upload-offset"] == "0"
        assert patch(client, url, 0, bytes(MAX_BODY)).status_code == 204, "a chunk may be as large as that"
