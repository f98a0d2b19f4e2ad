"""Parsers for the tests of readings: they behave, and take their time where a test has to act meanwhile."""

import time
from collections.abc import Iterator

from uploads.document import Block, Event, Progress, Source, Started, Unparsable, Unreadable


def page(number: int, text: str = "") -> Block:
    return Block("text", text or f"Page {number}.", {"kind": "page", "page": number, "boxes": [[0, 0, 1, 1]]}, ("Top",))


def three_pages(source: Source) -> Iterator[Event]:
    yield Started("page", 3)
    for number in (1, 2, 3):
        yield page(number)
        yield Progress(number)


def second_unreadable(source: Source) -> Iterator[Event]:
    yield Started("page", 3)
    yield page(1)
    yield Unreadable(2, "timeout")
    yield page(3)
    yield Progress(3)


def none_readable(source: Source) -> Iterator[Event]:
    yield Started("page", 2)
    yield Unreadable(1, "timeout")
    yield Unreadable(2, "broken")
    yield Progress(2)


def breaks_off(source: Source) -> Iterator[Event]:
    yield Started("page", 9)
    yield page(1)
    yield Progress(1)
    raise Unparsable("memory")


def locked(source: Source) -> Iterator[Event]:
    raise Unparsable("encrypted")
    yield


def unstorable(source: Source) -> Iterator[Event]:
    yield Started("sheet", 1)
    yield Block("table", "a\0b\ud800c", {"kind": "cells", "sheet": "x\0", "range": "A1:A1"}, ("h\0",))
    yield Progress(1)


def many_blocks(source: Source) -> Iterator[Event]:
    yield Started("line", 3000)
    for number in range(1, 3001):
        yield Block("text", f"{number}", {"kind": "lines", "first": number, "last": number})
    yield Progress(3000)


def slow(source: Source) -> Iterator[Event]:
    """A page every tenth of a second, for half a minute."""
    yield Started("page", 300)
    for number in range(1, 301):
        yield page(number)
        yield Progress(number)
        time.sleep(0.1)


def silent(source: Source) -> Iterator[Event]:
    """One page, and then nothing for half a minute."""
    yield Started("page", 2)
    yield page(1)
    yield Progress(1)
    time.sleep(30)
