"""Blocks cut into passages: whole sentences, one section, one page or sheet, and a place that leads there."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.passages import MOST, SCRAP, Cut, cut, size_of


@dataclass(frozen=True, slots=True)
class Block:
    text: str
    place: dict[str, Any]
    headings: tuple[str, ...] = ()
    kind: str = "text"


def page(number: int, *boxes: list[float]) -> dict[str, Any]:
    return {"kind": "page", "page": number, "boxes": list(boxes) or [[0.1, 0.1, 0.9, 0.2]]}


def paragraph(number: int) -> dict[str, Any]:
    return {"kind": "paragraph", "paragraph": number}


def sentence(num_words: int, first: str = "Word") -> str:
    return " ".join([first, *["word"] * (num_words - 1)]) + "."


def test_a_long_text_becomes_passages_of_whole_sentences() -> None:
    said = [sentence(20, f"S{number}") for number in range(30)]
    passages = cut([Block(" ".join(said), paragraph(1))])
    assert len(passages) == 4
    assert " ".join(passage.text for passage in passages) == " ".join(said)
    assert all(passage.text.endswith(".") and size_of(passage.text) <= MOST + SCRAP for passage in passages)


def test_short_blocks_of_one_section_are_joined_and_stand_at_the_first() -> None:
    passages = cut([Block("First one.", paragraph(4), ("A",)), Block("Second one.", paragraph(5), ("A",))])
    assert passages == [Cut("First one.\n\nSecond one.", ("A",), paragraph(4))]


def test_another_section_is_another_passage() -> None:
    passages = cut([Block("One.", paragraph(1), ("A",)), Block("Two.", paragraph(2), ("A", "B"))])
    assert [(passage.text, passage.headings) for passage in passages] == [("One.", ("A",)), ("Two.", ("A", "B"))]


def test_a_heading_is_the_path_of_what_follows_and_a_passage_where_nothing_does() -> None:
    blocks = [
        Block("Costs", paragraph(1), kind="heading"),
        Block("They rose.", paragraph(2), ("Costs",)),
        Block("The end", paragraph(3), kind="heading"),
    ]
    assert [(passage.text, passage.headings) for passage in cut(blocks)] == [
        ("They rose.", ("Costs",)),
        ("The end", ()),
    ]


def test_a_passage_stays_on_its_page_and_a_sentence_that_runs_on_is_finished() -> None:
    blocks = [
        Block("It was closed. The pump in the lower hall was then replaced by", page(3)),
        Block("another one. Nobody noticed.", page(4)),
    ]
    first, second = cut(blocks)
    assert first.text.endswith("was then replaced by another one.")
    assert (first.place["page"], second.text, second.place["page"]) == (3, "Nobody noticed.", 4)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"kind": "slide", "slide": 1, "shape": 1}, {"kind": "slide", "slide": 2, "shape": 1}),
        ({"kind": "cells", "sheet": "A", "range": "A1:B2"}, {"kind": "cells", "sheet": "B", "range": "A1:B2"}),
        (page(1), page(2)),
    ],
)
def test_slides_sheets_and_pages_are_never_mixed(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert [passage.place for passage in cut([Block("One.", one), Block("Two.", other)])] == [one, other]


def test_boxes_of_one_column_that_touch_become_one() -> None:
    upper, lower, right = [0.1, 0.10, 0.45, 0.15], [0.1, 0.16, 0.45, 0.20], [0.55, 0.1, 0.9, 0.2]
    blocks = [Block("One.", page(1, upper)), Block("Two.", page(1, lower)), Block("Three.", page(1, right))]
    (passage,) = cut(blocks)
    assert passage.place["boxes"] == [[0.1, 0.10, 0.45, 0.20], right]


def test_lines_are_those_of_the_passage_not_of_its_block() -> None:
    text = "\n".join(sentence(60, f"L{number}") for number in range(6))
    passages = cut([Block(text, {"kind": "lines", "first": 10, "last": 15})])
    assert [(passage.place["first"], passage.place["last"]) for passage in passages] == [(10, 12), (13, 15)]


def test_code_is_cut_between_lines() -> None:
    text = "\n".join(f"value_{number} = function(one, two, three)  # why" for number in range(60))
    passages = cut([Block(text, {"kind": "lines", "first": 1, "last": 60}, kind="code")])
    assert len(passages) > 2
    assert "\n".join(passage.text for passage in passages) == text
    assert passages[1].place["first"] == passages[0].place["last"] + 1


def test_a_table_goes_in_groups_of_rows_under_its_header() -> None:
    rows = ["Item\tPrice", *(f"Pump number {number}\t{number}.50" for number in range(100))]
    passages = cut([Block("\n".join(rows), {"kind": "cells", "sheet": "Costs", "range": "A2:B102"}, kind="table")])
    assert len(passages) > 2
    assert all(passage.text.startswith("Item\tPrice\n") for passage in passages)
    assert sum(passage.text.count("Pump") for passage in passages) == 100
    first, second = passages[0].place["range"], passages[1].place["range"]
    assert first.startswith("A2:B") and second == f"A{int(first[4:]) + 1}:B{second.partition(':B')[2]}"
    assert passages[-1].place["range"].endswith(":B102")


def test_a_header_that_is_repeated_above_its_range_is_not_counted_as_a_row() -> None:
    rows = ["item\tprice", *[f"a thing of the harbour number {number}\t{number}" for number in range(100)]]
    passages = cut([Block("\n".join(rows), {"kind": "cells", "sheet": "Costs", "range": "A42:B141"}, kind="table")])
    ranges = [passage.place["range"] for passage in passages]
    assert len(ranges) > 2 and ranges[0].startswith("A42:B") and ranges[-1].endswith(":B141")
    for passage in passages:
        first, last = (int(corner[1:]) for corner in passage.place["range"].split(":"))
        lines = passage.text.split("\n")
        assert lines[0] == "item\tprice" and len(lines) - 1 == last - first + 1
        assert lines[1].endswith(f"\t{first - 42}") and lines[-1].endswith(f"\t{last - 42}")


def test_text_before_and_after_a_table_stays_out_of_it() -> None:
    blocks = [
        Block("Before.", paragraph(1)),
        Block("a\tb\n1\t2", paragraph(2), kind="table"),
        Block("After.", paragraph(3)),
    ]
    assert [passage.text for passage in cut(blocks)] == ["Before.", "a\tb\n1\t2", "After."]


def test_a_scrap_joins_the_passage_before_it() -> None:
    (passage,) = cut([Block(" ".join([sentence(45)] * 3 + [sentence(SCRAP - 10)]), paragraph(1))])
    assert size_of(passage.text) == 45 * 3 + SCRAP - 10


@pytest.mark.parametrize("text", ["漢" * 5000, "A" * 5000, "word " * 5000, ("长句，" * 400 + "。") * 3])
def test_text_without_an_end_is_cut_all_the_same_and_nothing_is_lost(text: str) -> None:
    passages = cut([Block(text, paragraph(1))])
    assert all(size_of(passage.text) <= MOST + SCRAP for passage in passages)
    assert "".join(passage.text for passage in passages).replace(" ", "") == text.replace(" ", "")


def test_empty_blocks_are_left_out() -> None:
    assert cut([Block(" \n", paragraph(1)), Block("", paragraph(2), kind="heading")]) == []


@given(
    st.lists(
        st.tuples(
            st.text(alphabet="ab. \n\t漢。1", min_size=0, max_size=400),
            st.integers(1, 3),
            st.sampled_from(["text", "table", "code", "heading", "ocr"]),
        ),
        max_size=12,
    )
)
def test_nothing_is_lost_whatever_the_blocks(parts: list[tuple[str, int, str]]) -> None:
    blocks = [Block(text, page(number), kind=kind) for text, number, kind in parts]
    kept = "".join(passage.text for passage in cut(blocks))
    for character in "漢1":
        assert kept.count(character) >= sum(block.text.count(character) for block in blocks)
