"""Word's old documents (.doc), by kreuzberg, without LibreOffice. Text and paragraphs; headings are not told apart."""

import struct
from collections.abc import Iterator

from olefile import OleFileIO

from uploads.document import Block, BlockKind, Event, Progress, Source, Started, Unparsable
from uploads.parsers.compound import opened
from uploads.parsers.nodes import nodes_of

STREAM = "WordDocument"
FLAGS_AT = 10
ENCRYPTED = 0x0100


def parse(source: Source) -> Iterator[Event]:
    with opened(source.path, STREAM) as compound:
        _refuse_encrypted(compound)
    yield Started("part", 1)
    text = "\n".join(str(node.get("text") or "") for node in nodes_of(source.path, source.media_type))
    number = 0
    for line in text.split("\n"):
        for kind, piece in _pieces(line):
            number += 1
            yield Block(kind, piece, {"kind": "paragraph", "paragraph": number})
    yield Progress(1)


def _pieces(line: str) -> Iterator[tuple[BlockKind, str]]:
    """Cells end with a tab and rows with one more; what stands after the last row is the next paragraph."""
    *rows, rest = line.split("\t\t")
    if rows:
        yield "table", "\n".join(row.strip("\t") for row in rows)
    if rest.strip():
        yield "text", rest


def _refuse_encrypted(compound: OleFileIO) -> None:
    (flags,) = struct.unpack("<H", compound.openstream(STREAM).read(FLAGS_AT + 2)[FLAGS_AT:])
    if flags & ENCRYPTED:
        raise Unparsable("encrypted")
