"""The objects of a JSON file one by one, however large the file: of its outermost list, or the one that it is.

Knows nothing of chats. Only one object is in memory, and it is refused where it is too large; a file is believed
nothing but its brackets and quotes until then.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

PIECE = 256 * 1024  # bytes read at a time
MAX_ITEM = 32 * 1024 * 1024  # bytes of one object; Python makes about ten times as much of them
MAX_ITEMS = 20_000
_STRUCTURE = re.compile(rb'["\\{}\[\]]')


class BadFile(Exception):
    """`code`: not_json, too_many."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Item:
    """`value` is empty where `code` says why: too_large, not_json, too_deep."""

    number: int  # from 1
    value: dict[str, Any]
    code: str = ""


def read_items(file: IO[bytes]) -> Iterator[Item]:
    """Raises BadFile, after the items before the fault."""
    number = 0
    for data in _objects(file):
        number += 1
        if number > MAX_ITEMS:
            raise BadFile("too_many")
        yield _item(number, data)


def _item(number: int, data: bytes | None) -> Item:
    if data is None:
        return Item(number, {}, "too_large")
    try:
        value = json.loads(data)
    except RecursionError:
        return Item(number, {}, "too_deep")
    except ValueError:
        return Item(number, {}, "not_json")
    return Item(number, value) if isinstance(value, dict) else Item(number, {}, "not_json")


def _objects(file: IO[bytes]) -> Iterator[bytes | None]:
    """The bytes of each object at the top; None for one that is too large."""
    depth = top = 0  # `top` is the depth at which objects are taken: 1 inside of a list
    in_text = is_escaped = is_begun = False
    held, size = bytearray(), 0
    while piece := file.read(PIECE):
        start = 0  # of what belongs to the object that is open
        skip = -1
        if not is_begun:
            first = piece.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
            if first not in (b"{", b"["):
                raise BadFile("not_json")
            top, is_begun = (1 if first == b"[" else 0), True
        if is_escaped:
            is_escaped, skip = False, 0
        for match in _STRUCTURE.finditer(piece):
            at, sign = match.start(), match.group()
            if at == skip:
                continue
            if in_text:
                if sign == b"\\":
                    skip = at + 1
                    is_escaped = skip == len(piece)
                elif sign == b'"':
                    in_text = False
            elif sign == b'"':
                in_text = True
            elif sign in b"{[":
                if depth == top and sign == b"{":
                    start, held, size = at, bytearray(), 0
                depth += 1
            elif sign in b"}]":
                depth -= 1
                if depth < 0:
                    raise BadFile("not_json")
                if depth == top and sign == b"}":
                    size += at + 1 - start
                    yield bytes(held + piece[start : at + 1]) if size <= MAX_ITEM else None
                    held, size = bytearray(), 0
        if depth > top:
            size += len(piece) - start
            if size <= MAX_ITEM:
                held += piece[start:]
    if depth or in_text or not is_begun:
        raise BadFile("not_json")
