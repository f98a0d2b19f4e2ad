"""Writes Outlook messages (.msg): no program at hand does. The compound file of [MS-CFB], the properties of [MS-OXMSG].

Read back by python-oxmsg and olefile, which know nothing of this.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

SECTOR, MINI_SECTOR, MINI_LIMIT = 512, 64, 4096
END, FREE, TABLE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
UNICODE, BINARY = 0x001F, 0x0102
SUBJECT, BODY, SENDER_NAME, SENDER_ADDRESS, MESSAGE_CLASS = 0x0037, 0x1000, 0x0C1A, 0x0C1F, 0x001A
DISPLAY_NAME, ADDRESS, FILE_NAME, FILE_TYPE, FILE_DATA = 0x3001, 0x3003, 0x3707, 0x370E, 0x3701

Folder: TypeAlias = "dict[str, bytes | Folder]"


def write_message(path: Path, subject: str, body: str, attached: dict[str, tuple[str, bytes]]) -> None:
    """From Anna to Bert."""
    counts = struct.pack("<8x4I8x", 1, len(attached), 1, len(attached))
    properties = {
        (MESSAGE_CLASS, UNICODE): "IPM.Note",
        (SUBJECT, UNICODE): subject,
        (BODY, UNICODE): body,
        (SENDER_NAME, UNICODE): "Anna Schäfer",
        (SENDER_ADDRESS, UNICODE): "anna@example.com",
    }
    root = storage(counts, properties)
    root["__recip_version1.0_#00000000"] = storage(
        bytes(8), {(DISPLAY_NAME, UNICODE): "Bert", (ADDRESS, UNICODE): "bert@example.com"}
    )
    for index, (name, (media_type, data)) in enumerate(attached.items()):
        root[f"__attach_version1.0_#{index:08X}"] = storage(
            bytes(8), {(FILE_NAME, UNICODE): name, (FILE_TYPE, UNICODE): media_type, (FILE_DATA, BINARY): data}
        )
    path.write_bytes(compound(root))


def storage(header: bytes, properties: dict[tuple[int, int], str | bytes]) -> Folder:
    folder: Folder = {}
    table = header
    for (number, kind), value in properties.items():
        data = value.encode("utf-16-le") if isinstance(value, str) else value
        folder[f"__substg1.0_{number:04X}{kind:04X}"] = data
        size = len(data) + 2 * isinstance(value, str)
        table += struct.pack("<HHIII", kind, number, 6, size, 0)
    folder["__properties_version1.0"] = table
    return folder


@dataclass
class Entry:
    name: str
    kind: int  # 5 root, 1 storage, 2 stream
    data: bytes = b""
    child: int = FREE
    right: int = FREE
    start: int = END
    inner: list["Entry"] = field(default_factory=list)


def compound(root: Folder) -> bytes:
    entries: list[Entry] = []
    list_entries("Root Entry", root, entries)
    sectors: list[bytes] = []
    chain: list[int] = []

    def place(data: bytes) -> int:
        """Put into sectors side by side; returns the first."""
        first = len(sectors)
        parts = [data[at : at + SECTOR].ljust(SECTOR, b"\0") for at in range(0, len(data), SECTOR)]
        sectors.extend(parts)
        chain.extend([*range(first + 1, first + len(parts)), END])
        return first

    mini, mini_chain = b"", []
    for entry in entries:
        if entry.kind == 2 and len(entry.data) >= MINI_LIMIT:
            entry.start = place(entry.data)
        elif entry.kind == 2 and entry.data:
            entry.start = len(mini_chain)
            num = -(-len(entry.data) // MINI_SECTOR)
            mini_chain += [*range(entry.start + 1, entry.start + num), END]
            mini += entry.data.ljust(num * MINI_SECTOR, b"\0")
    entries[0].start, entries[0].data = place(mini), mini
    packed_chain = struct.pack(f"<{len(mini_chain)}I", *mini_chain)
    mini_table = place(packed_chain.ljust(-(-len(packed_chain) // SECTOR) * SECTOR, b"\xff"))
    num_mini = len(sectors) - mini_table
    directory = place(b"".join(packed(entry) for entry in entries))
    num_tables = 1
    while (len(chain) + num_tables) * 4 > num_tables * SECTOR:
        num_tables += 1
    assert num_tables <= 109
    first_table = len(sectors)
    full = struct.pack(f"<{len(chain) + num_tables}I", *chain, *[TABLE] * num_tables)
    body = b"".join(sectors) + full.ljust(num_tables * SECTOR, b"\xff")
    tables = [*range(first_table, first_table + num_tables)] + [FREE] * (109 - num_tables)
    head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<5H6x", 0x3E, 3, 0xFFFE, 9, 6)
    head += struct.pack("<9I", 0, num_tables, directory, 0, MINI_LIMIT, mini_table, num_mini, END, 0)
    return head + struct.pack("<109I", *tables) + body


def list_entries(name: str, folder: Folder, entries: list[Entry]) -> Entry:
    """Brothers hang on each other's right side, in the order the format asks for."""
    own = Entry(name, 5 if not entries else 1)
    entries.append(own)
    before: Entry | None = None
    for key in sorted(folder, key=lambda key: (len(key), key.upper())):
        content = folder[key]
        number = len(entries)
        if isinstance(content, bytes):
            entry = Entry(key, 2, content)
            entries.append(entry)
        else:
            entry = list_entries(key, content, entries)
        if before is None:
            own.child = number
        else:
            before.right = number
        before = entry
    return own


def packed(entry: Entry) -> bytes:
    name = entry.name.encode("utf-16-le") + b"\0\0"
    head = name.ljust(64, b"\0") + struct.pack("<HBBIII", len(name), entry.kind, 1, FREE, entry.right, entry.child)
    return head + bytes(36) + struct.pack("<IQ", entry.start if entry.kind != 1 else 0, len(entry.data))
