"""OpenDocument texts, by kreuzberg. unstructured's partitioner needs pandoc: 155 MB and half a second more."""

from collections.abc import Iterator

from uploads.document import Event, Progress, Source, Started
from uploads.parsers.archive import checked
from uploads.parsers.nodes import blocks, nodes_of


def parse(source: Source) -> Iterator[Event]:
    path = checked(source)
    yield Started("part", 1)
    yield from blocks(nodes_of(path, source.media_type))
    yield Progress(1)
