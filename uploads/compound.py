"""The names at the top of an OLE2 compound file (.doc, .xls, .ppt, .msg, and Office files behind a password).

Reads a bounded part, follows no loop, and runs in the web process. Knows no document format.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
HEADER_BYTES = 512
ENTRY_BYTES = 128
ENTRIES_IN_HEADER = 109  # of the table that says where the allocation table lies
LAST_SECTOR = 0xFFFF_FFF9  # the numbers above mean "none", "end" and the like
NO_ENTRY = 0xFFFF_FFFF
MAX_DIRECTORY_SECTORS = 4096
MAX_TABLE_SECTORS = 4096


def top_names(path: Path) -> frozenset[str]:
    """What stands directly below the root, not the documents inside others. Empty where nothing can be read."""
    with path.open("rb") as file:
        try:
            return frozenset(below_root(list(entries(file))))
        except (struct.error, ValueError):
            return frozenset()


def below_root(directory: list[bytes]) -> Iterator[str]:
    """The entries form a binary tree of brothers: left at 68, right at 72, the first child at 76."""
    if not directory:
        return
    (first,) = struct.unpack_from("<I", directory[0], 76)
    seen, waiting = set[int](), [first]
    while waiting:
        number = waiting.pop()
        if number in seen or not 0 < number < len(directory):
            continue
        seen.add(number)
        entry = directory[number]
        (length,) = struct.unpack_from("<H", entry, 64)
        yield entry[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
        waiting += struct.unpack_from("<II", entry, 68)


def entries(file: BinaryIO) -> Iterator[bytes]:
    header = file.read(HEADER_BYTES)
    (power,) = struct.unpack_from("<H", header, 30)
    if header[:8] != MAGIC or power not in (9, 12):
        return
    size = 1 << power
    table = table_sectors(file, header, size)
    (sector,) = struct.unpack_from("<I", header, 48)
    seen = set[int]()
    while sector <= LAST_SECTOR and sector not in seen and len(seen) < MAX_DIRECTORY_SECTORS:
        seen.add(sector)
        data = read_sector(file, sector, size)
        yield from (data[at : at + ENTRY_BYTES] for at in range(0, len(data) - ENTRY_BYTES + 1, ENTRY_BYTES))
        sector = next_sector(file, sector, size, table)


def table_sectors(file: BinaryIO, header: bytes, size: int) -> list[int]:
    """Where the allocation table lies: the first 109 places in the header, more in a chain of sectors."""
    places = list(struct.unpack_from(f"<{ENTRIES_IN_HEADER}I", header, 76))
    (sector,) = struct.unpack_from("<I", header, 68)
    seen = set[int]()
    while sector <= LAST_SECTOR and sector not in seen and len(places) < MAX_TABLE_SECTORS:
        seen.add(sector)
        *more, sector = struct.unpack(f"<{size // 4}I", read_sector(file, sector, size))
        places += more
    return places


def next_sector(file: BinaryIO, sector: int, size: int, table: list[int]) -> int:
    row, column = divmod(sector, size // 4)
    if row >= len(table) or table[row] > LAST_SECTOR:
        return NO_ENTRY
    (following,) = struct.unpack_from("<I", read_sector(file, table[row], size), 4 * column)
    return int(following)


def read_sector(file: BinaryIO, sector: int, size: int) -> bytes:
    file.seek((sector + 1) * size)
    return file.read(size)
