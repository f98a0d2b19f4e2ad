"""Tool calls as endpoints stream them, and as they are put together."""

from typing import Any

import pytest

from chatapp.context.messages import ToolCall
from chatapp.endpoints.calls import MAX_CALLS, MAX_CHARACTERS, CallGatherer


def gathered(*chunks: Any) -> list[ToolCall]:
    gatherer = CallGatherer()
    for chunk in chunks:
        gatherer.feed(chunk)
    return list(gatherer.gathered())


def piece(arguments: Any = "", **more: Any) -> dict[str, Any]:
    name = more.pop("name", None)
    return {"function": {"arguments": arguments} | ({"name": name} if name else {}), **more}


def test_fragments_are_joined_by_their_number() -> None:
    assert gathered(
        [piece("", index=0, id="a", name="sum")],
        [piece('{"x"', index=0), piece("", index=1, id="b", name="count")],
        [piece('{"y": 2}', index=1)],
        [piece(": 1}", index=0)],
    ) == [ToolCall("a", "sum", '{"x": 1}'), ToolCall("b", "count", '{"y": 2}')]


def test_an_id_repeated_with_every_fragment_is_one_call() -> None:
    chunks = [[piece(part, index=0, id="a", name="sum")] for part in ("{", '"x": 1', "}")]
    assert gathered(*chunks) == [ToolCall("a", "sum", '{"x": 1}')]


def test_whole_calls_that_are_all_number_nought_are_told_apart_by_their_ids() -> None:
    chunks = [[piece("{}", index=0, id=id, name="sum")] for id in ("a", "b")]
    assert gathered(*chunks) == [ToolCall("a", "sum", "{}"), ToolCall("b", "sum", "{}")]


def test_calls_without_number_or_id_and_with_an_object_are_taken() -> None:
    whole = [piece({"x": "ä"}, name="sum"), piece({}, name="count")]
    assert gathered(whole) == [ToolCall("call_0", "sum", '{"x": "\\u00e4"}'), ToolCall("call_1", "count", "{}")]


@pytest.mark.parametrize("nothing", [None, [], {}, "x", [None], [{}], [{"function": 1}], [piece("{}", index=0)]])
def test_what_is_no_call_is_none(nothing: Any) -> None:
    assert gathered(nothing) == []


def test_a_flood_is_bounded() -> None:
    assert len(gathered([piece("{}", index=n, name="sum") for n in range(1000)])) == MAX_CALLS
    [call] = gathered(*([piece("x" * 1000, index=0, name="sum")] for _ in range(1000)))
    assert len(call.arguments) <= MAX_CHARACTERS
