"""A file's objects one by one: as json would read them, whatever the pieces, and bounded whatever the file."""

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatapp.imports import items
from chatapp.imports.items import BadFile, read_items

WORDS = st.text('a"\\\\{}[]é潮', max_size=5)  # all that could be taken for structure
VALUES = st.none() | st.integers() | WORDS | st.lists(WORDS, max_size=2) | st.dictionaries(WORDS, WORDS, max_size=2)
OBJECTS = st.dictionaries(WORDS, VALUES, max_size=3)


def read(data: bytes) -> list[Any]:
    return [item.code or item.value for item in read_items(BytesIO(data))]


@settings(deadline=None)
@given(st.lists(OBJECTS, max_size=5), st.sampled_from([1, 2, 3, 7, 4096]), st.sampled_from([None, 2]), st.booleans())
def test_objects_are_those_that_json_reads(
    objects: list[dict[str, Any]], piece: int, indent: int | None, ascii: bool
) -> None:
    data = json.dumps(objects, indent=indent, ensure_ascii=ascii).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(items, "PIECE", piece)
        assert read(data) == objects


def test_single_object_is_one_item() -> None:
    assert read(b'\xef\xbb\xbf {"a": {"b": "}"}}') == [{"a": {"b": "}"}}]


@pytest.mark.parametrize("data", [b"", b"   ", b"<html>", b"[{}", b'[{"a": "b]', b"]", b"[{}]]", b"PK\x03\x04"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(BadFile):
        read(data)


def test_one_bad_object_does_not_take_the_others_along() -> None:
    assert read(b'[{"a": 1}, {"b": nonsense}, {"c": 3}]') == [{"a": 1}, "not_json", {"c": 3}]


def test_object_that_is_too_large_is_left_out_and_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "MAX_ITEM", 100)
    data = json.dumps([{"a": 1}, {"b": "x" * 1_000}, {"c": 3}]).encode()
    monkeypatch.setattr(items, "PIECE", 64)
    assert read(data) == [{"a": 1}, "too_large", {"c": 3}]


def test_deep_nesting_is_refused_and_ends() -> None:
    deep = b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert read(b"[" + deep + b', {"b": 1}]') == ["too_deep", {"b": 1}]


def test_more_objects_than_are_taken_end_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "MAX_ITEMS", 3)
    with pytest.raises(BadFile) as refused:
        read(b"[" + b",".join([b"{}"] * 4) + b"]")
    assert refused.value.code == "too_many"
