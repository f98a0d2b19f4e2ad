"""Plain text: paragraphs between blank lines, each with its lines. Streams; a file of any length fits."""

from collections.abc import Iterator

from uploads.document import Block, Event, Progress, Source, Started
from uploads.parsers.charset import encoding_of, numbered_lines
from uploads.parsers.lines import Run

CHARACTERS_A_BLOCK = 4000
LINES_A_PROGRESS = 1000


def parse(source: Source) -> Iterator[Event]:
    encoding = encoding_of(source.path)
    yield Started("line", encoding.num_lines)
    run = Run("text")
    number = 0
    for number, line in numbered_lines(source.path, encoding.name):
        if (not line.strip() or run.num_characters > CHARACTERS_A_BLOCK) and (block := run.end()):
            yield block
        if line.strip():
            run.add(number, line)
        if number % LINES_A_PROGRESS == 0:
            yield Progress(number)
    yield from _last(run)
    yield Progress(number)


def _last(run: Run) -> Iterator[Block]:
    if block := run.end():
        yield block
