"""Bytes of files that no library writes for us: compound files, and archives that lie about themselves."""

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

SECTOR = 512
FREE, END_OF_CHAIN, TABLE = 0xFFFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFD
NONE = 0xFFFF_FFFF
LOCAL_HEADER_BYTES = 30


def compound(streams: Mapping[str, bytes]) -> bytes:
    """An OLE2 file with these streams below its root, each long enough to stand in whole sectors (4096 bytes)."""
    entries = [entry("Root Entry", 5, child=1 if streams else NONE, start=END_OF_CHAIN, size=0)]
    chain: list[int] = []
    body = b""
    for number, (name, data) in enumerate(streams.items(), 1):
        data = data.ljust(4096, b"\x00")
        data += bytes(-len(data) % SECTOR)
        start, sectors = len(chain), len(data) // SECTOR
        chain += [*range(start + 1, start + sectors), END_OF_CHAIN]
        right = number + 1 if number < len(streams) else NONE
        entries.append(entry(name, 2, right=right, start=start, size=len(data)))
        body += data
    directory = b"".join(entries)
    directory += entry("", 0) * (-len(entries) % 4)
    first = len(chain)
    chain += [*range(first + 1, first + len(directory) // SECTOR), END_OF_CHAIN]
    table_at = len(chain)
    chain.append(TABLE)
    assert len(chain) <= SECTOR // 4, "one sector of table is all this writes"
    table = struct.pack(f"<{SECTOR // 4}I", *chain, *[FREE] * (SECTOR // 4 - len(chain)))
    return header(first, table_at) + body + directory + table


def entry(name: str, kind: int, right: int = NONE, child: int = NONE, start: int = 0, size: int = 0) -> bytes:
    text = name.encode("utf-16-le") + b"\x00\x00"
    packed = text.ljust(64, b"\x00") + struct.pack("<HBB", len(text) if name else 0, kind, 1)
    packed += struct.pack("<III", NONE, right, child) + bytes(16 + 4 + 16)
    return packed + struct.pack("<IQ", start, size)


def header(directory_at: int, table_at: int) -> bytes:
    magic = bytes.fromhex("d0cf11e0a1b11ae1")
    fixed = magic + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    fixed += struct.pack("<IIIIIIIII", 0, 1, directory_at, 0, 4096, END_OF_CHAIN, 0, END_OF_CHAIN, 0)
    return (fixed + struct.pack("<I", table_at)).ljust(SECTOR, b"\xff")


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG of 8-bit grey that says it is as large as this, whatever its rows hold."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@dataclass(frozen=True, slots=True)
class Packed:
    """A member as it will stand in an archive, with whatever it says of itself."""

    name: bytes
    body: bytes
    method: int
    crc: int
    size: int
    flags: int = 0
    mode: int = 0o644
    offset: int | None = None  # of another member's local header, whose bytes are then shared


def packed(name: str | bytes, data: bytes, **lies: Any) -> Packed:
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = squeeze.compress(data) + squeeze.flush()
    name = name.encode() if isinstance(name, str) else name
    return replace(Packed(name, body, 8, zlib.crc32(data), len(data)), **lies)


def packed_run(name: str, head: bytes, filler: bytes, times: int, tail: bytes, **lies: Any) -> Packed:
    """`head`, the filler so many times over, `tail`: a bomb, without its size ever being in memory."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -15)
    pieces, crc, size = [], 0, 0
    for piece in (head, *[filler] * times, tail):
        pieces.append(squeeze.compress(piece))
        crc, size = zlib.crc32(piece, crc), size + len(piece)
    return replace(Packed(name.encode(), b"".join(pieces) + squeeze.flush(), 8, crc, size), **lies)


def archive(members: Iterable[Packed]) -> bytes:
    out, directory, number = bytearray(), bytearray(), 0
    for number, member in enumerate(members, 1):  # noqa: B007
        offset = len(out) if member.offset is None else member.offset
        if member.offset is None:
            out += local_header(member) + member.body
        directory += struct.pack(
            "<4sBBHHHHHIIIHHHHHII",
            *(b"PK\x01\x02", 20, 3, 20, member.flags, member.method, 0, 33, member.crc, len(member.body), member.size),
            *(len(member.name), 0, 0, 0, 0, member.mode << 16, offset),
        )
        directory += member.name
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, number & 0xFFFF, number & 0xFFFF, len(directory), len(out), 0)
    return bytes(out + directory) + end


def local_header(member: Packed) -> bytes:
    fixed = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, member.flags, member.method, 0, 33, member.crc,
                        len(member.body), member.size, len(member.name), 0)  # fmt: skip
    return fixed + member.name


def quoted(names: Iterable[str], kernel: bytes) -> list[Packed]:
    """Members that overlap, each quoting the header of the next as text of its own, all ending in the same kernel.

    After David Fifield, "A better zip bomb" (2019): a few kilobytes unpack to as many kernels as there are names.
    """
    names = list(names)
    last = packed(names[-1], kernel)
    members, tail, text = [last], local_header(last) + last.body, kernel
    for name in reversed(names[:-1]):
        quote = tail[: LOCAL_HEADER_BYTES + len(members[0].name)]
        body = b"\x00" + struct.pack("<HH", len(quote), len(quote) ^ 0xFFFF) + quote + members[0].body
        text = quote + text
        member = Packed(name.encode(), body, 8, zlib.crc32(text), len(text))
        members.insert(0, member)
        tail = local_header(member) + body[:5] + tail
    # Where each begins: every header but the last is followed by the five bytes of its quote.
    offset, placed = 0, []
    for member in members:
        placed.append(replace(member, offset=offset))
        offset += LOCAL_HEADER_BYTES + len(member.name) + 5
    return [replace(placed[0], offset=None), *placed[1:]]


def pdf(*objects: bytes, trailer: bytes = b"") -> bytes:
    """Objects numbered from 1, the first of them the catalogue."""
    out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(out)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data)
