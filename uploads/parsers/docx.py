"""Word documents (docx, docm), by unstructured. Macros are parts nobody opens."""

from collections.abc import Iterator

from uploads.document import Event, Progress, Source, Started
from uploads.parsers.archive import plain
from uploads.parsers.elements import blocks
from uploads.parsers.outline import Outline
from uploads.parsers.partitioning import partitioner


def parse(source: Source) -> Iterator[Event]:
    with plain(source) as path:
        yield Started("part", 1)
        # No languages: guessing them costs a second and nobody reads them.
        yield from blocks(partitioner("docx")(str(path), languages=[""]), Outline())
    yield Progress(1)
