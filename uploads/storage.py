"""Where the bytes of whole files lie: Django's storage "uploads", under names made of their content.

A disk by default, S3 by setting. Knows no rows: whoever keeps or drops holds the lock of that content (uploads.locks).
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages

logger = logging.getLogger(__name__)

PIECE = 256 * 1024  # bytes read at a time


def key_of(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


def keep(sha256: str, path: Path) -> None:
    """Puts the file's bytes under their name, durably; bytes that are there already stay. The file stays, too."""
    storage, key = _storage(), key_of(sha256)
    if storage.exists(key):
        if storage.size(key) == path.stat().st_size:
            return
        storage.delete(key)  # a copy that a crash has cut short
    if isinstance(storage, FileSystemStorage):
        _keep_on_disk(Path(storage.path(key)), path)
        return
    with path.open("rb") as file:
        saved = storage.save(key, File(file))
    assert saved == key, "nobody else writes this content: its lock is held"


def open_blob(sha256: str) -> "File[bytes]":
    """Raises FileNotFoundError where a row has lost its bytes."""
    file: File[bytes] = _storage().open(key_of(sha256), "rb")
    return file


@contextmanager
def local_copy(sha256: str) -> Iterator[Path]:
    """A path at which other programs can read the bytes, as long as the block lasts. Raises FileNotFoundError."""
    storage, key = _storage(), key_of(sha256)
    if isinstance(storage, FileSystemStorage):
        path = Path(storage.path(key))
        path.stat()
        yield path
        return
    folder = settings.UPLOADS.partial_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="reading-") as copy:
        with open_blob(sha256) as file:
            for piece in file.chunks(PIECE):
                copy.write(piece)
        copy.flush()
        yield Path(copy.name)


def drop(sha256: str) -> None:
    _storage().delete(key_of(sha256))


def stored() -> Iterator[str]:
    """The sha256 of all that is there, from the names alone; what bears no such name is none of ours."""
    storage = _storage()
    if isinstance(storage, FileSystemStorage) and not os.path.isdir(storage.location):
        return
    for first in storage.listdir("")[0]:
        for second in storage.listdir(first)[0]:
            for name in storage.listdir(f"{first}/{second}")[1]:
                if len(name) == 64 and name.startswith(first + second):
                    yield name


def _storage() -> Storage:
    return storages["uploads"]


def _keep_on_disk(target: Path, path: Path) -> None:
    """A second name for the same bytes where the file system can; nothing is written twice."""
    folders = (target.parent.parent.parent, target.parent.parent, target.parent)
    for folder in folders:  # not parents=True: that leaves the ones above open to others
        folder.mkdir(exist_ok=True, mode=0o700)
    try:
        os.link(path, target)
    except OSError as error:
        logger.info("no link from unfinished to whole files (%s): copying", error.strerror)
        _copy(path, target)
    for folder in reversed(folders):
        sync_folder(folder)


def _copy(path: Path, target: Path) -> None:
    with path.open("rb") as source, tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as copy:
        while piece := source.read(PIECE):
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
    os.rename(copy.name, target)


def sync_folder(folder: Path) -> None:
    """A new name is on disk once its folder is."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
