"""PowerPoint's old presentations (.ppt): the texts of each slide in their order, and its notes.

Read from the records themselves ([MS-PPT]): kreuzberg finds the same texts but not their slides. Nothing runs.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from uploads.document import Block, Event, Progress, Source, Started, Unparsable
from uploads.parsers.compound import opened
from uploads.place import Place

STREAM, USER_STREAM = "PowerPoint Document", "Current User"
ENCRYPTED_TOKEN = 0xF3D1C4DF

DOCUMENT, SLIDE_ATOM, SLIDE_LIST, SLIDE_ENTRY, PERSIST_DIRECTORY = 0x03E8, 0x03EF, 0x0FF0, 0x03F3, 0x1772
TEXT_HEADER, TEXT_CHARACTERS, TEXT_BYTES, OUTLINE_REFERENCE, TEXT_BOX = 0x0F9F, 0x0FA0, 0x0FA8, 0x0F9E, 0xF00D
SLIDES, NOTES = 0, 2  # which list a SLIDE_LIST is
TITLES = {0, 6}
NOTES_TEXT = 2
NOTES_SHAPE = 0
# Containers within containers, as drawing groups are.
MAX_DEPTH = 40


@dataclass(frozen=True, slots=True)
class Record:
    kind: int
    instance: int
    is_container: bool
    body: memoryview


@dataclass(frozen=True, slots=True)
class Text:
    kind: int
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A slide as the document lists it; `texts` are those of the outline, which its shapes may refer to."""

    reference: int
    slide_id: int
    texts: list[Text]


def parse(source: Source) -> Iterator[Event]:
    with opened(source.path, STREAM) as compound:
        if compound.exists(USER_STREAM) and ENCRYPTED_TOKEN.to_bytes(4, "little") in compound.openstream(
            USER_STREAM
        ).read(32):
            raise Unparsable("encrypted")
        stream = memoryview(compound.openstream(STREAM).read())
    offsets = _offsets(stream)
    document = next((record for record in reversed(list(_records(stream))) if record.kind == DOCUMENT), None)
    if document is None:
        raise Unparsable("broken")
    slides, notes = _entries(document, SLIDES), _entries(document, NOTES)
    if len(slides) > source.limits.max_pages:
        raise Unparsable("too_many_pages")
    yield Started("slide", len(slides))
    noted = {entry.slide_id: entry for entry in notes}
    for number, entry in enumerate(slides, 1):
        body = _at(stream, offsets.get(entry.reference))
        yield from _slide(body, entry, number)
        if (note := noted.get(_notes_id(body))) is not None:
            said = [text for text in _texts(_at(stream, offsets.get(note.reference)), note) if text.kind == NOTES_TEXT]
            place: Place = {"kind": "slide", "slide": number, "shape": NOTES_SHAPE}
            yield from (Block("text", text.text, place, _title(body, entry)) for text in said)
        yield Progress(number)


def _slide(body: memoryview, entry: Entry, number: int) -> Iterator[Block]:
    headings = _title(body, entry)
    texts = sorted(_texts(body, entry) or entry.texts, key=lambda text: text.kind not in TITLES)
    for shape, text in enumerate((text for text in texts if text.text.strip()), 1):
        place: Place = {"kind": "slide", "slide": number, "shape": shape}
        is_title = bool(headings) and text.kind in TITLES
        yield Block("heading" if is_title else "text", text.text, place, () if is_title else headings)


def _title(body: memoryview, entry: Entry) -> tuple[str, ...]:
    titles = [text.text for text in _texts(body, entry) or entry.texts if text.kind in TITLES and text.text.strip()]
    return tuple(" ".join(title.split()) for title in titles[:1])


def _records(data: memoryview) -> Iterator[Record]:
    """The records side by side in here; what is cut off at the end is left out."""
    position = 0
    while position + 8 <= len(data):
        head, kind, length = struct.unpack_from("<HHI", data, position)
        body = data[position + 8 : position + 8 + length]
        yield Record(kind, head >> 4, head & 0xF == 0xF, body)
        position += 8 + length


def _all(data: memoryview, kind: int, depth: int = 0) -> Iterator[Record]:
    """The records of a kind in here and in what this holds, in their order."""
    for record in _records(data):
        if record.kind == kind:
            yield record
        elif record.is_container and depth < MAX_DEPTH:
            yield from _all(record.body, kind, depth + 1)


def _offsets(stream: memoryview) -> dict[int, int]:
    """Where each saved object lies; a later save overrides."""
    offsets: dict[int, int] = {}
    for record in _records(stream):
        if record.kind != PERSIST_DIRECTORY:
            continue
        numbers = [number for (number,) in struct.iter_unpack("<I", record.body[: len(record.body) // 4 * 4])]
        position = 0
        while position < len(numbers):
            first, num = numbers[position] & 0xFFFFF, numbers[position] >> 20
            for index, offset in enumerate(numbers[position + 1 : position + 1 + num]):
                offsets[first + index] = offset
            position += 1 + num
    return offsets


def _at(stream: memoryview, offset: int | None) -> memoryview:
    """The inside of the record that begins there."""
    record = next(_records(stream[offset:]), None) if offset is not None else None
    return record.body if record else stream[:0]


def _entries(document: Record, which: int) -> list[Entry]:
    entries: list[Entry] = []
    for record in _records(document.body):
        if record.kind == SLIDE_LIST and record.instance == which:
            kind = -1
            for item in _records(record.body):
                if item.kind == SLIDE_ENTRY and len(item.body) >= 16:
                    reference, _, _, slide_id = struct.unpack_from("<IIII", item.body)
                    entries.append(Entry(reference, slide_id, []))
                elif entries and (text := _text(item)) is not None:
                    entries[-1].texts.append(Text(kind, text))
                elif item.kind == TEXT_HEADER:
                    kind = int.from_bytes(item.body[:4], "little")
    return entries


def _texts(body: memoryview, entry: Entry) -> list[Text]:
    """One a text box."""
    found = []
    for box in _all(body, TEXT_BOX):
        kind = -1
        for item in _records(box.body):
            if item.kind == TEXT_HEADER:
                kind = int.from_bytes(item.body[:4], "little")
            elif item.kind == OUTLINE_REFERENCE:
                index = int.from_bytes(item.body[:4], "little")
                found += entry.texts[index : index + 1]
            elif (text := _text(item)) is not None:
                found.append(Text(kind, text))
    return found


def _text(record: Record) -> str | None:
    """A carriage return ends a paragraph, a vertical tab a line."""
    if record.kind == TEXT_CHARACTERS:
        text = bytes(record.body).decode("utf-16-le", errors="replace")
    elif record.kind == TEXT_BYTES:
        text = bytes(record.body).decode("latin-1")
    else:
        return None
    return text.replace("\r", "\n").replace("\v", "\n")


def _notes_id(body: memoryview) -> int:
    """Of the notes that belong to a slide; 0 is none."""
    atom = next((record for record in _records(body) if record.kind == SLIDE_ATOM), None)
    return int.from_bytes(atom.body[16:20], "little") if atom else 0
