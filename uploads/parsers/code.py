"""Source code, JSON, XML and configuration: pieces that begin at a definition, under the names that enclose them.

Knows no grammar: a definition is a line that says `class`, `def`, `func` and the like, and indentation nests.
"""

import re
from collections.abc import Iterator

from uploads.document import Event, Progress, Source, Started
from uploads.parsers.charset import encoding_of, numbered_lines
from uploads.parsers.lines import Run
from uploads.parsers.outline import Outline

LINES_A_BLOCK = 60
CHARACTERS_A_BLOCK = 4000
LINES_A_PROGRESS = 1000

_DEFINITION = re.compile(
    r"^(?P<indent>\s*)(?P<title>"
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|override|virtual|pub|unsafe"
    r"|open|data|sealed|declare)(?:\([^)]*\))?\s+)*"
    r"(?:class|def|function|func|fn|interface|struct|enum|impl|trait|module|namespace|object|record|type|sub|proc)"
    r"\s+[\w$.]+(?:::[\w$]+)*)"
)


def parse(source: Source) -> Iterator[Event]:
    encoding = encoding_of(source.path)
    yield Started("line", encoding.num_lines)
    outline, run = Outline(), Run("code")
    above: tuple[str, ...] = ()
    number = 0
    for number, line in numbered_lines(source.path, encoding.name):
        definition = _DEFINITION.match(line)
        begins = definition and (not definition["indent"] or run.num_lines > LINES_A_BLOCK // 2)
        is_full = run.num_lines >= LINES_A_BLOCK and (not line.strip() or run.num_lines >= 2 * LINES_A_BLOCK)
        if (begins or is_full or run.num_characters > CHARACTERS_A_BLOCK) and (block := run.end(above)):
            yield block
        path = outline.enter(len(definition["indent"].expandtabs(4)), definition["title"]) if definition else None
        if not run.num_lines:
            if not line.strip():
                continue
            above = outline.path if path is None else path
        run.add(number, line)
        if number % LINES_A_PROGRESS == 0:
            yield Progress(number)
    if block := run.end(above):
        yield block
    yield Progress(number)
