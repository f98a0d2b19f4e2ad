"""What a child says is believed only where it has the form of an answer."""

import json
from typing import Any

import pytest

from uploads.computing.answer import Bounds, Cells, Query, Refusal, Result, Tables
from uploads.computing.codec import decode_answer, decode_query, encode_answer, encode_query
from uploads.wire import WireError

RESULT = Result(
    ("name", "n"),
    (("Ann", 1), (None, 2.5), (True, "x")),
    False,
    Cells(({"kind": "cells", "sheet": "A", "range": "A1:B2"}, {"kind": "lines", "first": 1, "last": 2}), 2, True),
)


@pytest.mark.parametrize("answer", [RESULT, Refusal("mistake", "no such column"), Tables(())])
def test_an_answer_comes_back_as_it_was(answer: Result | Refusal | Tables) -> None:
    assert decode_answer(encode_answer(answer)) == answer


def test_a_query_comes_back_as_it_was() -> None:
    for query in (Query(None, Bounds()), Query("SELECT 'ä'", Bounds(seconds=0.5, rows=3))):
        assert decode_query(encode_query(query)) == query


def test_text_that_no_database_takes_is_made_fit() -> None:
    found = decode_answer(encode_answer(Refusal("mistake", "a\0b\ud800")))
    assert found == Refusal("mistake", "a\ufffdb\ufffd")


def lie(**changes: Any) -> str:
    return json.dumps({**json.loads(encode_answer(RESULT)), **changes})


def lie_of_cells(**changes: Any) -> str:
    cells = json.loads(encode_answer(RESULT))["cells"]
    return lie(cells={**cells, **changes})


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "nonsense",
        "[" * 100_000,
        json.dumps({"is": "query", "sql": "SELECT 1"}),
        json.dumps({"is": "refusal", "code": "hacked", "words": "x"}),
        json.dumps({"is": "refusal", "code": "mistake", "words": 1}),
        json.dumps({"is": "refusal", "code": "mistake", "words": "a\0"}),
        lie(more=1),
        lie(columns="name"),
        lie(columns=[1]),
        lie(rows=[["Ann", {"a": 1}]]),
        lie(rows=[["Ann", [1]]]),
        lie(rows=["Ann"]),
        lie(rows=[["Ann", float("nan")]]),
        lie(is_truncated=1),
        lie(cells=None),
        lie_of_cells(num_rows="2"),
        lie_of_cells(areas=[{"kind": "cells", "sheet": "A", "range": "<script>"}]),
        lie_of_cells(areas=[{"kind": "cells", "sheet": "A", "range": "A1", "href": "x"}]),
        lie_of_cells(areas=[{"kind": "lines", "first": 3, "last": 2}]),
        lie_of_cells(areas=[{"kind": "lines", "first": 1, "last": 2**40}]),
        lie_of_cells(areas=[{"kind": "page", "page": 1, "boxes": []}]),
    ],
)
def test_a_lie_is_refused(line: str) -> None:
    with pytest.raises(WireError):
        decode_answer(line)


def test_a_result_whose_rows_do_not_fit_its_columns_is_refused() -> None:
    with pytest.raises(WireError):
        decode_answer(lie(rows=[["Ann"]]))
