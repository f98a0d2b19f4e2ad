"""Markdown, line by line: headings, fenced code, pipe tables, paragraphs; each keeps its lines.

Not through unstructured's partitioner: it goes through HTML and loses the line numbers that a citation opens.
"""

import re
from collections.abc import Iterator

from uploads.document import Block, BlockKind, Event, Progress, Source, Started
from uploads.parsers.charset import encoding_of, numbered_lines
from uploads.parsers.lines import Run
from uploads.parsers.outline import Outline
from uploads.parsers.rows import line_of

CHARACTERS_A_BLOCK = 4000
LINES_A_PROGRESS = 1000

_HEADING = re.compile(r"^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+)\s*$")
_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})")
_ROW = re.compile(r"^\s*\|.*\|\s*$")
_RULE = re.compile(r"^[\s|:-]+$")


def parse(source: Source) -> Iterator[Event]:
    encoding = encoding_of(source.path)
    yield Started("line", encoding.num_lines)
    reader = _Reader()
    number = 0
    for number, line in numbered_lines(source.path, encoding.name):
        yield from reader.read(number, line)
        if number % LINES_A_PROGRESS == 0:
            yield Progress(number)
    yield from reader.end()
    yield Progress(number)


class _Reader:
    """One run is open at a time; a line either belongs to it or ends it."""

    def __init__(self) -> None:
        self._outline = Outline()
        self._run = Run("text")
        self._fence = ""

    def read(self, number: int, line: str) -> Iterator[Block]:
        if self._fence:
            yield from self._in_code(number, line)
        elif fence := _FENCE.match(line):
            yield from self._switch("code")
            self._fence = fence[1]
        elif heading := _HEADING.match(line):
            yield from self.end()
            yield from self._heading(number, number, len(heading[1]), heading[2] or "")
        elif (underline := _UNDERLINE.match(line)) and self._run.kind == "text" and self._run.num_lines == 1:
            title = self._run.lines[0]
            self._run = Run("text")
            yield from self._heading(number - 1, number, 1 if underline[1][0] == "=" else 2, title)
        elif not line.strip():
            yield from self.end()
        else:
            yield from self._switch("table" if _ROW.match(line) else "text")
            self._run.add(number, line)

    def end(self) -> Iterator[Block]:
        text = _table_text(self._run.lines) if self._run.kind == "table" else None
        if block := self._run.end(self._outline.path, text):
            yield block

    def _in_code(self, number: int, line: str) -> Iterator[Block]:
        if line.strip().startswith(self._fence) and not line.strip().strip(self._fence[0]):
            self._fence = ""
            yield from self.end()
        else:
            yield from self._switch("code")
            self._run.add(number, line)

    def _switch(self, kind: BlockKind) -> Iterator[Block]:
        if self._run.kind != kind or self._run.num_characters > CHARACTERS_A_BLOCK:
            yield from self.end()
            self._run = Run(kind)

    def _heading(self, first: int, last: int, level: int, title: str) -> Iterator[Block]:
        if title.strip():
            above = self._outline.enter(level, title)
            yield Block("heading", title.strip(), {"kind": "lines", "first": first, "last": last}, above)


def _table_text(lines: list[str]) -> str:
    rows = [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in lines if not _RULE.match(line)]
    return "\n".join(line_of(cell.replace("\\|", "|") for cell in row) for row in rows)
