"""What passes between the fence and its child: one JSON object a line, each a dataclass. Knows no process, no parser.

The child is not trusted once it has opened a file, so `decode` takes nothing on faith: unknown keys, wrong types,
numbers out of range and characters that a database refuses all raise WireError. `encode` makes what it is given fit:
that is the child's own side, where a parser's slip (a box outside its page, a NUL in a cell) should cost no file.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

from uploads.document import Block, BlockKind, Event, Fault, Limits, Progress, Source, Started, Unit, Unreadable
from uploads.place import Place

MAX_NUMBER = 2**31 - 1  # what an integer column holds
MAX_HEADINGS = 32
MAX_HEADING = 2_000
NO_MEMORY = 86  # the exit status of a child that could not even say so

# PostgreSQL's text takes neither NUL nor half a surrogate pair.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# "pdf.py:31 ValueError" or nothing: it goes into the log, where no word of a file may go.
WHERE = re.compile(r"([\w.-]{1,80}:[0-9]{1,6} )?\w{0,80}", re.ASCII)
CELLS = re.compile(r"[A-Z]{1,3}[1-9][0-9]{0,6}(:[A-Z]{1,3}[1-9][0-9]{0,6})?")


class WireError(ValueError):
    """The line is none of ours."""


@dataclass(frozen=True, slots=True)
class Job:
    """The one line that goes into the child. `parser`, "/path/file.py:function", is for tests alone.

    With a `query` (JSON of uploads/computing) the file is not parsed but computed with.
    """

    source: Source
    scratch: str
    cpu_seconds: int
    memory_bytes: int
    file_bytes: int
    open_files: int
    processes: int
    line_bytes: int
    readable: tuple[str, ...] = ()
    parser: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Computed:
    """The answer to a query: JSON that uploads/computing/codec.py reads and checks."""

    text: str


@dataclass(frozen=True, slots=True)
class Confined:
    """What the child got: each list may be empty, which the fence says aloud."""

    network: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """`where` is a module, a line and an exception's name, never its text, which may quote the file."""

    fault: Fault
    where: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Said last by a child that read its file to the end."""


Message = Event | Computed | Confined | Failed | Ended


def encode(message: Message) -> bytes:
    match message:
        case Block(kind, text, place, headings):
            body: dict[str, Any] = {
                "is": "block",
                "kind": kind,
                "text": storable(text),
                "place": fitting(place),
                "headings": [storable(heading)[:MAX_HEADING] for heading in headings[-MAX_HEADINGS:]],
            }
        case Failed(fault, where):
            body = {"is": "failed", "fault": fault, "where": where if WHERE.fullmatch(where) else "elsewhere"}
        case _:
            body = {"is": type(message).__name__.lower(), **asdict(message)}
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    try:
        body = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise WireError("not JSON") from error
    if not isinstance(body, dict) or not isinstance(body.get("is"), str):
        raise WireError("not a message")
    read = READERS.get(body.pop("is"))
    if read is None:
        raise WireError("a message of no known kind")
    return read(body)


def encode_job(job: Job) -> bytes:
    body = asdict(job)
    body["source"]["path"] = str(job.source.path)
    return json.dumps(body).encode()


def decode_job(data: bytes) -> Job:
    """The fence's own words, read by the child before it has opened anything."""
    body = json.loads(data)
    source = body.pop("source")
    limits = source.pop("limits")
    limits["ocr_languages"] = tuple(limits["ocr_languages"])
    body["readable"] = tuple(body["readable"])
    return Job(
        source=Source(
            path=Path(source["path"]), media_type=source["media_type"], name=source["name"], limits=Limits(**limits)
        ),
        **body,
    )


def storable(text: str) -> str:
    # str(): OCR libraries hand out subclasses of str that json does not know.
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", str(text))


def fitting(place: Place) -> dict[str, Any]:
    """The place with its boxes inside their page."""
    body = dict(place)
    if "boxes" in body:
        boxes = cast(list[list[float]], body["boxes"])
        body["boxes"] = [[round(min(1.0, max(0.0, float(edge))), 5) for edge in box] for box in boxes]
    return {key: storable(value) if isinstance(value, str) else value for key, value in body.items()}


def _refuse(constant: str) -> None:
    raise WireError(f"{constant} is no JSON")


# Each reader takes the body without "is" and must use it up.

Check = Callable[[Any], Any]


def _fields(body: dict[str, Any], checks: dict[str, Check]) -> dict[str, Any]:
    if body.keys() != checks.keys():
        raise WireError("other keys than expected")
    return {name: check(body[name]) for name, check in checks.items()}


def _number(low: int) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= MAX_NUMBER:
            raise WireError(f"a number outside {low}..{MAX_NUMBER}")
        return value

    return check


def _text(longest: int | None = None) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or UNSTORABLE.search(value) or (longest is not None and len(value) > longest):
            raise WireError("no text, too long a text, or one that cannot be stored")
        return value

    return check


def _one_of(words: tuple[str, ...]) -> Check:
    def check(value: Any) -> str:
        if value not in words:
            raise WireError("an unknown word")
        return cast(str, value)

    return check


def _list_of(check_one: Check, longest: int) -> Check:
    def check(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > longest:
            raise WireError(f"no list of at most {longest}")
        return [check_one(one) for one in value]

    return check


def _box(value: Any) -> list[float]:
    if not isinstance(value, list) or len(value) != 4:
        raise WireError("a box has four edges")
    for edge in value:
        if type(edge) not in (int, float) or not math.isfinite(edge) or not 0 <= edge <= 1:
            raise WireError("an edge outside 0..1")
    return [float(edge) for edge in value]


def _cells(value: Any) -> str:
    if not isinstance(value, str) or not CELLS.fullmatch(value):
        raise WireError("no range of cells")
    return value


def _where(value: Any) -> str:
    if not isinstance(value, str) or not WHERE.fullmatch(value):
        raise WireError("no place in the source")
    return value


COUNT, NUMBER = _number(0), _number(1)
BOXES = _list_of(_box, 100_000)
PLACES: dict[str, dict[str, Check]] = {
    "page": {"page": NUMBER, "boxes": BOXES},
    "slide": {"slide": NUMBER, "shape": COUNT},
    "paragraph": {"paragraph": NUMBER},
    "cells": {"sheet": _text(1_000), "range": _cells},
    "region": {"page": NUMBER, "boxes": BOXES},
    "lines": {"first": NUMBER, "last": NUMBER},
}
FAULT, UNIT, BLOCK_KIND = (_one_of(get_args(words)) for words in (Fault, Unit, BlockKind))
MEASURES = _list_of(_text(100), 10)


def _place(value: Any) -> Place:
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or value["kind"] not in PLACES:
        raise WireError("no place")
    kind = value["kind"]
    rest = {key: part for key, part in value.items() if key != "kind"}
    return cast(Place, {"kind": kind, **_fields(rest, PLACES[kind])})


def _read_block(body: dict[str, Any]) -> Block:
    checks = {
        "kind": BLOCK_KIND,
        "text": _text(),
        "place": _place,
        "headings": _list_of(_text(MAX_HEADING), MAX_HEADINGS),
    }
    fields = _fields(body, checks)
    return Block(fields["kind"], fields["text"], fields["place"], tuple(fields["headings"]))


def _read_confined(body: dict[str, Any]) -> Confined:
    fields = _fields(body, {"network": MEASURES, "files": MEASURES})
    return Confined(tuple(fields["network"]), tuple(fields["files"]))


READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "started": lambda body: Started(**_fields(body, {"unit": UNIT, "total": COUNT})),
    "block": _read_block,
    "progress": lambda body: Progress(**_fields(body, {"done": COUNT})),
    "unreadable": lambda body: Unreadable(**_fields(body, {"number": NUMBER, "fault": FAULT})),
    "computed": lambda body: Computed(**_fields(body, {"text": _text()})),
    "confined": _read_confined,
    "failed": lambda body: Failed(**_fields(body, {"fault": FAULT, "where": _where})),
    "ended": lambda body: Ended(**_fields(body, {})),
}
