"""Deltas are joined for some milliseconds; nothing said is ever lost by it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from chatapp.answers.events import Delta as DeltaEvent
from chatapp.answers.joining import Piece, joined
from chatapp.answers.progress import Progress
from chatapp.endpoints.deltas import Completed, Delta
from chatapp.endpoints.faults import Dropped

END = Completed("stop", None, "m")


async def say(*pieces: Piece | float | Exception) -> AsyncGenerator[Piece]:
    for piece in pieces:
        if isinstance(piece, float):
            await asyncio.sleep(piece)
        elif isinstance(piece, Exception):
            raise piece
        else:
            yield piece


def text(words: str, *ids: int) -> Delta:
    return Delta("text", words, ids)


async def test_neighbours_are_joined_and_parts_stay_apart() -> None:
    source = say(Delta("reasoning", "h"), Delta("reasoning", "m"), text("a", 1), text("b", 2), END)
    pieces = [piece async for piece in joined(source, asyncio.Event())]
    assert pieces == [Delta("reasoning", "hm"), text("ab", 1, 2), END]


async def test_a_pause_shows_what_is_there() -> None:
    pieces = [piece async for piece in joined(say(text("a"), 0.05, text("b"), END), asyncio.Event(), join_s=0.01)]
    assert pieces == [text("a"), text("b"), END]


async def test_a_drop_comes_after_all_that_was_said() -> None:
    seen: list[Piece] = []
    with pytest.raises(Dropped):
        async for piece in joined(say(text("a"), text("b"), Dropped("gone")), asyncio.Event()):
            seen.append(piece)
    assert seen == [text("ab")]


async def test_stop_closes_the_source_and_gives_what_was_said() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, stop.set)
    source = say(text("a"), 60.0, END)
    assert [piece async for piece in joined(source, stop, join_s=30.0)] == [text("a")]
    with pytest.raises(StopAsyncIteration):
        await anext(source)


def test_offsets_count_utf16_units_and_overlaps_are_skipped() -> None:
    from uuid import uuid4

    ids = (uuid4(), uuid4())
    progress = Progress("\U0001f30a", "", [], None, start_text=2)
    assert progress.length_text == 2 and not progress.has_shown
    wave = DeltaEvent(*ids, "text", 2, "\U0001f30a!", (7,))
    assert progress.replay(wave) and progress.replay(wave)
    assert (progress.text, progress.token_ids, progress.attempt_text) == ("\U0001f30a\U0001f30a!", [7], "\U0001f30a!")
    assert not progress.replay(DeltaEvent(*ids, "text", 9, "x"))
    assert progress.has_shown
