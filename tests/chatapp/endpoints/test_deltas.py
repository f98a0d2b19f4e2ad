"""Thinking tags and characters that chunks cut anywhere."""

import json

from hypothesis import given
from hypothesis import strategies as st

from chatapp.endpoints.deltas import Delta, ThinkSplitter, WellFormed
from chatapp.endpoints.faults import read_error


def split(pieces: list[str]) -> tuple[str, str, list[Delta]]:
    splitter = ThinkSplitter()
    deltas = [delta for i, piece in enumerate(pieces) for delta in splitter.feed(piece, (i,))]
    deltas += splitter.finish()
    text = "".join(d.text for d in deltas if d.part == "text")
    return text, "".join(d.text for d in deltas if d.part == "reasoning"), deltas


@given(st.lists(st.integers(0, 40), max_size=8))
def test_tags_are_found_however_they_are_cut(cuts: list[int]) -> None:
    whole = "\n<think>\na < b</th>\n</think>\n\nIt is <b>.\n"
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[a:b] for a, b in zip(places, places[1:], strict=False)]
    text, reasoning, _ = split(pieces)
    assert text == "It is <b>.\n"
    assert reasoning.rstrip("\n") == "a < b</th>"


def test_only_an_opening_tag_counts() -> None:
    assert split(["Write ", "<think> to begin"])[:2] == ("Write <think> to begin", "")
    assert split(["<", "b>bold"])[:2] == ("<b>bold", "")
    assert split(["<think>\n\n</think>\n\nyes"])[:2] == ("yes", "")


def test_every_token_id_comes_with_its_text() -> None:
    pieces = ["<th", "ink>", "one ", "two</", "think>", "\n\nthree", " four"]
    _, _, deltas = split(pieces)
    assert sorted(i for delta in deltas for i in delta.token_ids) == list(range(len(pieces)))


def test_a_pair_of_surrogates_cut_in_two_becomes_one_character() -> None:
    well_formed = WellFormed()
    halves = json.loads('["a\\ud83d", "\\ude00b", "\\u0000", "\\udc00"]')
    assert [well_formed(half) for half in halves] == ["a", "\U0001f600b", "\ufffd", "\ufffd"]


def test_error_shapes() -> None:
    shapes = [
        '{"error": {"message": "m", "code": 7}}',
        '{"error": "m"}',
        '{"detail": "m"}',
        '{"message": "m"}',
        '{"detail": [{"msg": "m", "loc": [], "input": "the question"}]}',
        "<html><script>x()</script><h1>m</h1></html>",
        "m",
        '"m"',
    ]
    assert {read_error(shape).message for shape in shapes} == {"m"}
    assert read_error("[1]").message == read_error("{}").message == ""
