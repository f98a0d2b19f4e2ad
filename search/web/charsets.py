"""Bytes of a page to text: what the server says, what the page says of itself, and a guess. Pure."""

import codecs
import re
from collections.abc import Iterator

from charset_normalizer import from_bytes

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]{2,40})""", re.IGNORECASE)
_XML = re.compile(rb"""^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9_.-]{2,40})["']""")
_HEAD = 4096  # browsers look at 1024 bytes; pages put their scripts first
_GUESSED = 16_384  # bytes; more costs time and changes nothing
# What servers mean by these names is the larger set; so does the WHATWG standard.
_LARGER = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
    "tis-620": "cp874",
    "x-user-defined": "cp1252",
}
# Five bytes are nothing in Python's tables, and controls in everybody else's.
_HOLES_1252 = {byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}


def decoded(content: bytes, declared: str | None, is_html: bool = True) -> str:
    """The text, whatever the bytes: what fits nothing is decoded with replacement characters."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    named = list(_named(content, declared, is_html))
    for encoding in [*named, "utf-8"]:
        if (text := _strictly(content, encoding)) is not None:
            return text
    guess = from_bytes(content[:_GUESSED]).best()
    return content.decode(guess.encoding if guess else (named or ["utf-8"])[0], "replace")


def _named(content: bytes, declared: str | None, is_html: bool) -> Iterator[str]:
    head = content[:_HEAD]
    in_page = (_META.search(head) or _XML.match(head)) if is_html else None
    for name in (declared, in_page[1].decode("ascii") if in_page else None):
        if name and (encoding := _encoding(name)):
            # A page that could be read as far as its own name for its encoding is not in UTF-16.
            yield "utf-8" if encoding.startswith("utf-16") and name != declared else encoding


def _encoding(name: str) -> str | None:
    name = name.strip().strip("\"'").lower()
    try:
        encoding = codecs.lookup(_LARGER.get(name, name))
    except (LookupError, ValueError):
        return None
    # rot13, base64 and others are codecs as well, and turn no bytes into text.
    return encoding.name if encoding._is_text_encoding else None


def _strictly(content: bytes, encoding: str) -> str | None:
    """None where bytes do not fit. A character cut off at the end does not count against it."""
    if encoding == "cp1252":
        return codecs.charmap_decode(content, "strict", _table_1252())[0]
    try:
        return codecs.getincrementaldecoder(encoding)().decode(content)
    except (UnicodeError, LookupError):
        return None


def _table_1252() -> str:
    return "".join(_HOLES_1252.get(byte) or bytes([byte]).decode("cp1252") for byte in range(256))
