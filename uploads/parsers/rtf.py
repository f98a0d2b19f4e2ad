"""Rich text, by kreuzberg; its headings by the style sheet, which that library passes over.

unstructured's partitioner goes through pandoc and puts list items before everything else (0.27).
"""

import re
from collections.abc import Iterator

from uploads.document import Event, Progress, Source, Started, Unparsable
from uploads.parsers.nodes import blocks, key, nodes_of

MEDIA_TYPE = "application/rtf"
SIGNATURE = b"{\\rtf"

_STYLE = re.compile(rb"\{\\s(\d{1,4})\b[^{};]*?\b(?:heading (\d)|(title));\}", re.IGNORECASE)
_PARAGRAPH = re.compile(rb"\\pard?\b")
_STYLE_USED = re.compile(rb"\\s(\d{1,4})\b")
# A control word, an escaped byte, a brace: what is not text.
_CONTROL = re.compile(
    r"\\u(-?\d{1,5}) ?(?:\\'[0-9a-f]{2}|\?)?|\\'([0-9a-f]{2})|\\[a-z]+-?\d* ?|[{}\r\n]|\\(.)", re.IGNORECASE
)
LONGEST_HEADING = 5000


def parse(source: Source) -> Iterator[Event]:
    data = source.path.read_bytes()
    if not data.lstrip().startswith(SIGNATURE):
        raise Unparsable("broken")
    yield Started("part", 1)
    yield from blocks(nodes_of(source.path, MEDIA_TYPE), heading_levels(data))
    yield Progress(1)


def heading_levels(data: bytes) -> dict[str, int]:
    """The key of each heading's text -> its level."""
    levels = {style: int(level or b"0") for style, level, _ in _STYLE.findall(data)}
    if not levels:
        return {}
    starts = [match.end() for match in _PARAGRAPH.finditer(data)]
    found = {}
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        used = _STYLE_USED.search(data, start, min(end, start + 200))
        if used and used[1] in levels and end - start < LONGEST_HEADING:
            found[key(_text(data[start:end].decode("cp1252", errors="replace")))] = levels[used[1]]
    found.pop("", None)
    return found


def _text(rich: str) -> str:
    def plain(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1]) % 0x10000)
        if match[2]:
            return bytes.fromhex(match[2]).decode("cp1252", errors="replace")
        return match[3] or ""

    # The break that began the next paragraph was cut off with it.
    return _CONTROL.sub(plain, rich)
