"""The bytes of an unfinished upload: one file named by its id. Its length is the truth, rows follow it. Knows no rows.

Bytes are told only after fsync: what the browser has heard of, a power cut does not take back.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import UUID

from django.conf import settings

from uploads.errors import Refused
from uploads.storage import PIECE, sync_folder

_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Checksum:
    algorithm: str  # a name that hashlib knows
    digest: bytes


class Partial:
    def __init__(self, upload_id: UUID) -> None:
        self.path: Path = settings.UPLOADS.partial_dir / str(upload_id)

    def length(self) -> int:
        """Safe bytes: synced before they are counted. Raises Refused(busy) while they are being added to."""
        if not self.path.exists():
            return 0
        with self._alone() as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)

    def append(self, offset: int, pieces: Iterable[bytes], room: int, checksum: Checksum | None = None) -> int:
        """The new length, on disk. At most `room` bytes; all of the pieces or none.

        Raises Refused: offset, too_large, checksum, no_space, busy.
        """
        with self._alone() as file:
            length = file.seek(0, os.SEEK_END)
            if length != offset:
                raise Refused("offset", offset=length)
            try:
                _write(file, pieces, room, checksum)
                os.fsync(file.fileno())
            except BaseException as error:
                os.ftruncate(file.fileno(), offset)
                if isinstance(error, OSError) and error.errno in _FULL:
                    raise Refused("no_space") from error
                raise
            return file.seek(0, os.SEEK_END)

    def sha256(self) -> str:
        """Raises FileNotFoundError."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[IO[bytes]]:
        """The file, made where there was none, under a lock that ends with this process at the latest."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not self.path.exists()
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Refused("busy") from error
            if is_new:
                sync_folder(self.path.parent)
            yield file


def _write(file: IO[bytes], pieces: Iterable[bytes], room: int, checksum: Checksum | None) -> None:
    digest = hashlib.new(checksum.algorithm) if checksum else None
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            raise Refused("too_large")
        if digest:
            digest.update(piece)
        view = memoryview(piece)
        while view:
            view = view[file.write(view) :]
    if digest and checksum and digest.digest() != checksum.digest:
        raise Refused("checksum")


def size_on_disk(upload_id: UUID) -> int:
    """A look without the lock: for whoever only wants to know whether it is worth taking."""
    try:
        return Partial(upload_id).path.stat().st_size
    except FileNotFoundError:
        return 0


def forgotten(older_than_s: float) -> Iterator[tuple[str, Path]]:
    """Names and paths of the files that nobody has written to for so long."""
    folder: Path = settings.UPLOADS.partial_dir
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        try:
            if time.time() - path.stat().st_mtime > older_than_s:
                yield path.name, path
        except FileNotFoundError:
            continue
