"""Bytes of files that no library writes for us: compound files, and archives that lie about themselves."""

import struct
import zlib
from collections.abc import Mapping

SECTOR = 512
FREE, END_OF_CHAIN, TABLE = 0xFFFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFD
NONE = 0xFFFF_FFFF


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
