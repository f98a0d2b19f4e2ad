"""What every parser promises, whatever its library does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from uploads.document import Block, Event, Limits, Parser, Source, Started, Unparsable, Unreadable
from uploads.parsers.promise import kept

SOURCE = Source(Path("nowhere"), "text/plain", "a.txt", Limits())


def parser_of(*events: Event, error: Exception | None = None) -> Parser:
    def parse(source: Source) -> Iterator[Event]:
        yield from events
        if error:
            raise error

    return kept(parse)


def test_whatever_a_library_raises_is_broken_with_its_cause() -> None:
    with pytest.raises(Unparsable, match="broken") as raised:
        list(parser_of(Started("page", 1), error=IndexError("somewhere deep"))(SOURCE))
    assert isinstance(raised.value.__cause__, IndexError)


def test_lack_of_memory_is_not_the_fault_of_the_file() -> None:
    error = ValueError("could not parse")
    error.__cause__ = MemoryError()
    with pytest.raises(MemoryError):
        list(parser_of(Started("page", 1), error=error)(SOURCE))


def test_text_comes_without_what_no_database_takes() -> None:
    block = Block("text", " \x00a\ud800b\x0cc\n", {"kind": "lines", "first": 1, "last": 1}, ("t\x00",))
    _, said = list(parser_of(Started("line", 1), block)(SOURCE))
    assert isinstance(said, Block) and (said.text, said.headings) == ("abc", ("t",))


def test_pages_that_all_failed_end_with_their_fault_and_none_at_all_as_empty() -> None:
    with pytest.raises(Unparsable, match="timeout"):
        list(parser_of(Started("page", 2), Unreadable(1, "timeout"), Unreadable(2, "broken"))(SOURCE))
    with pytest.raises(Unparsable, match="empty"):
        list(parser_of(Started("page", 2))(SOURCE))
