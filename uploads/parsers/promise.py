"""What every parser promises, held in one place: Started first, clean text, an end with text or with a fault.

Knows no file type. The libraries below fail on broken files with whatever comes to hand, so any exception but
our own is "broken"; its cause stays attached.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from uploads.document import Block, Event, Parser, Source, Started, Unparsable, Unreadable

# PostgreSQL takes no NUL, JSON no lone surrogate, and nobody needs the other control characters.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def kept(parser: Parser) -> Parser:
    def parse(source: Source) -> Iterator[Event]:
        try:
            yield from _held(parser(source), source.limits.max_characters)
        except (Unparsable, MemoryError, AssertionError):
            raise
        except Exception as error:
            if _lacked_memory(error):
                raise MemoryError from error
            raise Unparsable("broken") from error

    return parse


def _held(events: Iterator[Event], max_characters: int) -> Iterator[Event]:
    num_characters = 0
    unreadable: Unreadable | None = None
    for index, event in enumerate(events):
        assert index or isinstance(event, Started), f"{event} came before Started"
        if isinstance(event, Unreadable):
            unreadable = unreadable or event
        if isinstance(event, Block):
            event = replace(event, text=clean(event.text), headings=tuple(clean(title) for title in event.headings))
            if not event.text:
                continue
            num_characters += len(event.text)
            if num_characters > max_characters:
                raise Unparsable("too_large")
        yield event
    if not num_characters:
        raise Unparsable(unreadable.fault if unreadable else "empty")


def _lacked_memory(error: BaseException | None) -> bool:
    """Libraries wrap a MemoryError in their own."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def clean(text: str) -> str:
    return _UNWRITABLE.sub("", text).strip(" \r\n")
