"""Looks into a zip file without unpacking it: some names, and the beginning of one member. For what guesses at types.

Python's own reader takes a whole directory of members into memory, however many a file claims; this one reads a bounded
part, and runs in the web process. Knows no document format.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
LOCAL_BYTES, CENTRAL_BYTES, END_BYTES = 30, 46, 22
LONGEST_COMMENT = 65_535
DIRECTORY_BYTES = 1 << 20  # some 15,000 members
STORED, DEFLATED = 0, 8
SIZE_FOLLOWS, UNKNOWN_BYTES = 8, 1 << 32


@dataclass(frozen=True, slots=True)
class Member:
    name: bytes
    method: int
    is_encrypted: bool
    packed_bytes: int
    offset: int


class Archive:
    """Members as the directory at the end lists them, the first of each name; of a torn archive, those at its start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members: dict[bytes, Member] = {}
        with path.open("rb") as file:
            for member in listed(file):
                self._members.setdefault(member.name, member)
            if not self._members:
                self._members = {member.name: member for member in found(file)}

    def __contains__(self, name: bytes) -> bool:
        return name in self._members

    def head(self, name: bytes, most_bytes: int) -> bytes:
        """The member's first bytes; b"" for one that is missing, encrypted, or not to be unpacked."""
        member = self._members.get(name)
        if member is None or member.is_encrypted or member.method not in (STORED, DEFLATED):
            return b""
        with self._path.open("rb") as file:
            packed = packed_head(file, member, most_bytes)
        if member.method == STORED:
            return packed
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most_bytes)
        except zlib.error:
            return b""


def listed(file: BinaryIO) -> Iterator[Member]:
    file.seek(0, 2)
    size = file.tell()
    file.seek(max(0, size - END_BYTES - LONGEST_COMMENT))
    tail = file.read()
    at = tail.rfind(END)
    if at < 0 or at + END_BYTES > len(tail):
        return
    directory_bytes, offset = struct.unpack_from("<II", tail, at + 12)
    # Something may stand before the archive: its directory ends where the end record begins.
    begins = size - len(tail) + at - directory_bytes
    shift = begins - offset
    if begins < 0 or shift < 0:
        return
    file.seek(begins)
    yield from members(file.read(min(directory_bytes, DIRECTORY_BYTES)), shift)


def members(data: bytes, shift: int) -> Iterator[Member]:
    at = 0
    while data[at : at + 4] == CENTRAL and at + CENTRAL_BYTES <= len(data):
        flags, method = struct.unpack_from("<HH", data, at + 8)
        (packed_bytes,) = struct.unpack_from("<I", data, at + 20)
        name_length, extra_length, comment_length = struct.unpack_from("<HHH", data, at + 28)
        (offset,) = struct.unpack_from("<I", data, at + 42)
        name = data[at + CENTRAL_BYTES : at + CENTRAL_BYTES + name_length]
        yield Member(name, method, bool(flags & 1), packed_bytes, shift + offset)
        at += CENTRAL_BYTES + name_length + extra_length + comment_length


def found(file: BinaryIO) -> Iterator[Member]:
    """Members by their own headers, wherever these stand in the first megabyte."""
    file.seek(0)
    data = file.read(DIRECTORY_BYTES)
    at = data.find(LOCAL)
    while 0 <= at <= len(data) - LOCAL_BYTES:
        flags, method = struct.unpack_from("<HH", data, at + 6)
        (packed_bytes,) = struct.unpack_from("<I", data, at + 18)
        (name_length,) = struct.unpack_from("<H", data, at + 26)
        name = data[at + LOCAL_BYTES : at + LOCAL_BYTES + name_length]
        yield Member(name, method, bool(flags & 1), UNKNOWN_BYTES if flags & SIZE_FOLLOWS else packed_bytes, at)
        at = data.find(LOCAL, at + LOCAL_BYTES)


def packed_head(file: BinaryIO, member: Member, most_bytes: int) -> bytes:
    file.seek(member.offset)
    header = file.read(LOCAL_BYTES)
    if len(header) < LOCAL_BYTES or header[:4] != LOCAL:
        return b""
    name_length, extra_length = struct.unpack_from("<HH", header, 26)
    file.seek(member.offset + LOCAL_BYTES + name_length + extra_length)
    return file.read(min(member.packed_bytes, most_bytes))
