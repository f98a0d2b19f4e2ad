"""Word documents (docx, docm), by unstructured. Macros are parts nobody opens."""

from collections.abc import Iterator

from uploads.document import Event, Progress, Source, Started
from uploads.parsers.archive import checked
from uploads.parsers.elements import blocks
from uploads.parsers.outline import Outline
from uploads.parsers.partitioning import partitioner


def parse(source: Source) -> Iterator[Event]:
    path = checked(source)
    yield Started("part", 1)
    # No languages: guessing them costs a second and nobody reads them.
    yield from blocks(partitioner("docx")(str(path), languages=[""]), Outline())
    yield Progress(1)
