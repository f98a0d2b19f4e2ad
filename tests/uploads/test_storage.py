"""Where whole files lie: a disk, and an S3 server over real HTTP."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.files.storage import storages
from moto.server import ThreadedMotoServer

from chatapp.accounts.models import User
from chatapp.config import ConfigError, read_config
from chatapp.settings import _file_storage
from tests.file_fixtures import LINE, files_below, give
from tests.test_docs import NEEDED
from uploads import storage, sweep
from uploads.selectors import open_bytes
from uploads.services import remove

BUCKET = "sonde-files"


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_url: str, file_store: Path, settings: Any) -> Any:
    """An empty bucket, and the site's storage in it by the settings that a person would give."""
    environ = {
        **NEEDED,
        "SONDE_STORAGE": "s3",
        "SONDE_S3_BUCKET": BUCKET,
        "SONDE_S3_ENDPOINT": s3_url,
        "SONDE_S3_REGION": "us-east-1",
        "SONDE_S3_KEY": "key",
        "SONDE_S3_SECRET": "secret",
    }
    settings.STORAGES = {**settings.STORAGES, "uploads": _file_storage(read_config(environ).s3)}
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    bucket = boto3.resource("s3", endpoint_url=s3_url, **keys).create_bucket(Bucket=BUCKET)
    bucket.objects.delete()
    return bucket


def keys_in(bucket: Any) -> list[str]:
    return [entry.key for entry in bucket.objects.all()]


@pytest.mark.django_db(transaction=True)
def test_files_go_to_the_bucket_and_back_and_leave_nothing_behind(s3: Any, member: User, file_store: Path) -> None:
    upload = give(member)
    assert keys_in(s3) == [storage.key_of(upload.blob_id)]
    assert not files_below(file_store), "nothing of a whole file stays on the disk"
    assert open_bytes(upload).read() == LINE
    with storage.local_copy(upload.blob_id) as path:
        assert path.read_bytes() == LINE
    assert not files_below(file_store)
    remove(upload)
    assert keys_in(s3) == []


@pytest.mark.django_db(transaction=True)
def test_same_bytes_lie_in_the_bucket_once(s3: Any, member: User, outsider: User) -> None:
    first, second = give(member), give(outsider, name="copy.txt")
    assert first.blob == second.blob and len(keys_in(s3)) == 1
    remove(first)
    assert open_bytes(second).read() == LINE


@pytest.mark.django_db(transaction=True)
def test_part_of_a_file_can_be_read_from_the_bucket(s3: Any, member: User) -> None:
    data = os.urandom(2_500_000).hex().encode()
    with open_bytes(give(member, data)) as file:
        file.seek(1_000_000)
        assert file.read(10) == data[1_000_000:1_000_010]


@pytest.mark.django_db(transaction=True)
def test_orphans_are_found_in_the_bucket_too(s3: Any, member: User) -> None:
    upload = give(member)
    s3.put_object(Key=storage.key_of("ab" * 32), Body=b"without a row")
    s3.put_object(Key="notes/of/others.txt", Body=b"not ours")
    sweep.remove_orphans()
    assert sorted(keys_in(s3)) == sorted([storage.key_of(upload.blob_id), "notes/of/others.txt"])


def test_what_is_stored_twice_is_written_once(file_store: Path) -> None:
    path = file_store / "new"
    path.write_bytes(LINE)
    sha256 = hashlib.sha256(LINE).hexdigest()
    storage.keep(sha256, path)
    [kept] = files_below(file_store / "uploads")
    before = kept.stat()
    storage.keep(sha256, path)
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(storage.stored()) == [sha256]


def test_only_this_account_may_look_at_stored_files(file_store: Path) -> None:
    path = file_store / "new"
    path.touch(mode=0o600)
    storage.keep("ab" * 32, path)
    [kept] = files_below(file_store / "uploads")
    assert kept.stat().st_mode & 0o077 == 0
    for folder in (kept.parent, kept.parent.parent, file_store / "uploads"):
        assert folder.stat().st_mode & 0o077 == 0, folder


def test_disk_is_the_default_and_s3_needs_a_bucket(file_store: Path) -> None:
    assert type(storages["uploads"]).__name__ == "FileSystemStorage"
    assert read_config(NEEDED).s3 is None
    with pytest.raises(ConfigError, match="SONDE_S3_BUCKET is missing"):
        read_config({**NEEDED, "SONDE_STORAGE": "s3"})
    with pytest.raises(ConfigError, match="SONDE_STORAGE='tape' must be one of disk, s3"):
        read_config({**NEEDED, "SONDE_STORAGE": "tape"})
