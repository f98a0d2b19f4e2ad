"""Text files: their encoding, and their lines with numbers. Knows no format.

UTF-8 is tried on the whole file, since a first umlaut may stand a megabyte down; where that fails, the bytes around
the failure are shown to charset-normalizer.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charset_normalizer import from_bytes

# Of the hundred it knows, those that people's files come in: a short text fits too many of the others.
PLAUSIBLE = ["cp1252", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1251", "koi8_r", "cp1250", "cp1253"]
_BOMS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16
# A file without a line break is read in pieces of this length, all of the same line number.
PIECE_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Encoding:
    name: str
    num_lines: int


def encoding_of(path: Path) -> Encoding:
    """The encoding, and how many lines the file has; an empty file has none."""
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
        name = next((name for bom, name in _BOMS if head.startswith(bom)), None) or _wide(head)
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        position = num_breaks = 0
        last = b""
        while chunk := file.read(CHUNK_BYTES):
            if name is None:
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    name = _guess(path, position + error.start)
            num_breaks += chunk.count(b"\n") or chunk.count(b"\r")
            position += len(chunk)
            last = chunk
    return Encoding(name or "utf-8", num_breaks + (last[-1:] not in (b"\n", b"\r", b"")))


def _wide(head: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of western text is zero."""
    half = len(head) // 2
    if half and head[1::2].count(0) > 0.3 * half:
        return "utf-16-le"
    if half and head[0::2].count(0) > 0.3 * half:
        return "utf-16-be"
    return None


def _guess(path: Path, position: int) -> str:
    with path.open("rb") as file:
        file.seek(max(0, position - SAMPLE_BYTES // 2))
        sample = file.read(SAMPLE_BYTES)
    best = from_bytes(sample, cp_isolation=PLAUSIBLE).best()
    return best.encoding if best else "cp1252"


def numbered_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 with the line, without its break; pieces of an overlong line share a number."""
    number = 1
    with path.open(encoding=encoding, errors="replace") as file:
        while piece := file.readline(PIECE_CHARACTERS):
            yield number, piece.rstrip("\n")
            number += piece.endswith("\n")
