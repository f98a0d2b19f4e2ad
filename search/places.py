"""Places joined: where a passage stands that was made of several blocks, or of a part of one. Pure.

A place is the JSON that parsers write (kinds page, region, slide, paragraph, cells, lines); here it is only ever made
wider or narrower, never read from a file.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Place = Mapping[str, Any]

_RANGE = re.compile(r"([A-Z]+)(\d+)(?::([A-Z]+)(\d+))?")
_TOUCHING = 0.02  # of the page's height: the gap between two lines of one paragraph


def unit_of(place: Place) -> tuple[str, object]:
    """What a passage never crosses: its page, slide, sheet or image frame; documents without such are one unit."""
    match place["kind"]:
        case "page" | "region":
            return place["kind"], place["page"]
        case "slide":
            return "slide", place["slide"]
        case "cells":
            return "cells", place["sheet"]
        case kind:
            return kind, None


def joined(places: Sequence[Place]) -> dict[str, Any]:
    """One place for all. Of a passage that ends on a second page, the page where it begins."""
    first = dict(places[0])
    same = [place for place in places if unit_of(place) == unit_of(first)]
    match first["kind"]:
        case "page" | "region":
            first["boxes"] = merged_boxes([box for place in same for box in place["boxes"]])
        case "cells":
            first["range"] = _covering([place["range"] for place in same])
        case "lines":
            first["first"] = min(place["first"] for place in same)
            first["last"] = max(place["last"] for place in same)
    return first


def part_of_lines(place: Place, text: str, start: int, end: int) -> Place:
    """The lines that hold these characters of the block's text, where its lines are those of the file."""
    if place["kind"] != "lines" or text.count("\n") != place["last"] - place["first"]:
        return place
    first = place["first"] + text.count("\n", 0, start)
    return {**place, "first": first, "last": first + text.count("\n", start, end)}


def part_of_rows(place: Place, num_rows: int, first: int, last: int) -> Place:
    """The rows `first` to `last` (from 0) of a table that fills its range, or has a header repeated above it.

    Else the whole place.
    """
    if place["kind"] != "cells" or not (corners := _RANGE.fullmatch(place["range"])):
        return place
    left, top, right, bottom = corners[1], int(corners[2]), corners[3] or corners[1], int(corners[4] or corners[2])
    num_repeated = num_rows - (bottom - top + 1)
    if num_repeated not in (0, 1):
        return place
    first, last = max(0, first - num_repeated), max(0, last - num_repeated)
    return {**place, "range": f"{left}{top + first}:{right}{top + last}"}


def merged_boxes(boxes: Sequence[Sequence[float]]) -> list[list[float]]:
    """Fewest boxes: those of one column that touch become one."""
    merged: list[list[float]] = []
    for box in boxes:
        if merged and _continues(merged[-1], box):
            last = merged[-1]
            merged[-1] = [min(last[0], box[0]), min(last[1], box[1]), max(last[2], box[2]), max(last[3], box[3])]
        elif list(box) not in merged:
            merged.append(list(box))
    return merged


def _continues(above: Sequence[float], box: Sequence[float]) -> bool:
    overlap = min(above[2], box[2]) - max(above[0], box[0])
    narrower = min(above[2] - above[0], box[2] - box[0])
    return overlap >= 0.5 * narrower and box[1] - above[3] <= _TOUCHING and above[1] - box[3] <= _TOUCHING


def _covering(ranges: Sequence[str]) -> str:
    """The smallest range that holds all; the first as it stands where one is no range."""
    corners = [match for each in ranges if (match := _RANGE.fullmatch(each))]
    if len(corners) != len(ranges):
        return ranges[0]
    columns = [column_number(each) for match in corners for each in (match[1], match[3] or match[1])]
    rows = [int(each) for match in corners for each in (match[2], match[4] or match[2])]
    start, end = f"{column_name(min(columns))}{min(rows)}", f"{column_name(max(columns))}{max(rows)}"
    return start if start == end else f"{start}:{end}"


def column_number(name: str) -> int:
    """A is 1."""
    number = 0
    for letter in name:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def column_name(number: int) -> str:
    name = ""
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(ord("A") + rest) + name
    return name
